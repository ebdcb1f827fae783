"""What a schema raises that is there and not right; part of the tree of `words.errors`."""

from __future__ import annotations

from collections.abc import Iterable

from baton.words.errors import DatabaseError


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
