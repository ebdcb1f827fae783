"""What the database, its schema and its connections raise; part of the tree of `words.errors`."""

from __future__ import annotations

from baton.words.base_error import BatonError


class DatabaseError(BatonError):
    """The database, its schema, or a connection. What the driver raised is its `__cause__`."""

    @property
    def sqlstate(self) -> str | None:
        """PostgreSQL's code of the error; None when the server answered with none."""
        return getattr(self.__cause__, "sqlstate", None)


class ConnectionTypeError(DatabaseError):
    given: object

    def __init__(self, given: object, why: str = "") -> None:
        super().__init__(
            f"conn={type(given).__module__}.{type(given).__qualname__}: expected an asyncpg "
            "connection (or a pool's), or a SQLAlchemy AsyncSession / AsyncConnection over asyncpg"
            + (f"; {why}" if why else ""),
            given=given,
        )


class SchemaMissingError(DatabaseError):
    schema: str
    found: int | None
    expected: int
    oban_schema: str | None

    def __init__(
        self, schema: str, found: int | None, expected: int, oban_schema: str | None = None
    ) -> None:
        has = "no Baton tables" if found is None else f"Baton's tables at version {found}"
        super().__init__(
            f"schema {schema!r} has {has}, expected version {expected}; "
            f"run: baton migrate --schema {schema}"
            + ("" if oban_schema is None else f" --oban-schema {oban_schema}"),
            schema=schema,
            found=found,
            expected=expected,
            oban_schema=oban_schema,
        )


class MissingRightError(DatabaseError):
    problem: str

    def __init__(self, problem: str) -> None:
        super().__init__(f"the role lacks a right: {problem}", problem=problem)


class MigrationError(DatabaseError):
    version: int | None
    problem: str

    def __init__(self, version: int | None, problem: str) -> None:
        super().__init__(
            f"migration{'' if version is None else f' {version}'} failed: {problem}",
            version=version,
            problem=problem,
        )


class UnavailableError(DatabaseError):
    what: str
    timeout: float | None
    refused: bool
    in_doubt: bool

    def __init__(
        self,
        what: str,
        timeout: float | None = None,
        *,
        refused: bool = False,
        in_doubt: bool = False,
    ) -> None:
        within = f" within {timeout} s" if timeout is not None else ""
        message = what if refused else f"the database did not answer: {what}{within}"
        super().__init__(message, what=what, timeout=timeout, refused=refused, in_doubt=in_doubt)
