"""What a schema raises that is missing, not right, or cannot be migrated."""

from __future__ import annotations

from collections.abc import Iterable

from baton.words.database_errors import DatabaseError


class SchemaMissingError(DatabaseError):
    schema: str
    found: int | None
    expected: int
    oban_schema: str | None
    elsewhere: tuple[str, ...]

    def __init__(
        self,
        schema: str,
        found: int | None,
        expected: int,
        oban_schema: str | None = None,
        elsewhere: Iterable[str] = (),
    ) -> None:
        has = "no Baton tables" if found is None else f"Baton's tables at version {found}"
        elsewhere = tuple(elsewhere)
        others = ", ".join(map(repr, elsewhere))
        there = f"this database has them in {others}: correct --schema, or " if others else ""
        super().__init__(
            f"schema {schema!r} has {has}, expected version {expected}; "
            f"{there}run: baton migrate --schema {schema}"
            + ("" if oban_schema is None else f" --oban-schema {oban_schema}"),
            schema=schema,
            found=found,
            expected=expected,
            oban_schema=oban_schema,
            elsewhere=elsewhere,
        )


class SchemaMismatchError(DatabaseError):
    schema: str
    problems: tuple[str, ...]

    def __init__(self, schema: str, problems: Iterable[str], advice: str = "") -> None:
        problems = tuple(problems)
        shown = "; ".join(problems[:10]) + ("; …" if len(problems) > 10 else "")
        super().__init__(
            f"schema {schema!r} is not what this Baton needs: {shown}"
            + (f"; {advice}" if advice else ""),
            schema=schema,
            problems=problems,
        )


class MigrationError(DatabaseError):
    version: int | None
    problem: str

    def __init__(self, version: int | None, problem: str) -> None:
        super().__init__(
            f"migration{'' if version is None else f' {version}'} failed: {problem}",
            version=version,
            problem=problem,
        )
