"""What the database and its connections raise."""

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


class IsolationError(DatabaseError):
    what: str

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs a transaction of isolation level READ COMMITTED, and conn= has a higher "
            "one: what was committed since it began would not be seen",
            what=what,
        )


class MissingRightError(DatabaseError):
    problem: str

    def __init__(self, problem: str) -> None:
        super().__init__(f"the role lacks a right: {problem}", problem=problem)


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
