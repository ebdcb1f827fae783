"""Whatever the driver and the server raise inside a public call leaves it as a BatonError, with the
driver's error as its cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from baton.errors import (
    BatonError,
    CompletionTimeoutError,
    DatabaseError,
    MissingRightError,
    UnavailableError,
)
from baton.store import store as pooled
from baton.store.faults import driver_error
from baton.store.store import store_of
from support.public_calls import (
    CALLS,
    LOGS_ITS_FAILURES,
    NO_CALLS,
    Scene,
    opened_scene,
    public_calls,
)

UNAVAILABLE = (
    *("08006", "25006", "25P03", "40001", "40P01"),
    *("53100", "53300", "55P03", "57014", "57P01"),
)
OTHERS = (
    *("0A000", "21000", "22P05", "23502", "23505", "28000", "38000"),
    *("42883", "42P01", "54000", "55000", "AB123", "P0001", "XX000"),
)
STATES: dict[str, type[DatabaseError]] = {
    **dict.fromkeys(UNAVAILABLE, UnavailableError),
    "42501": MissingRightError,
    **dict.fromkeys(OTHERS, DatabaseError),
}
LOST: tuple[Callable[[], Exception], ...] = (
    lambda: ConnectionResetError("as planned"),
    lambda: TimeoutError("as planned"),
    lambda: asyncpg.InterfaceError("as planned"),
    lambda: asyncpg.InternalClientError("as planned"),
    lambda: asyncpg.ConnectionDoesNotExistError("as planned"),
)

_CONTROL = ("BEGIN", "ROLLBACK", "SET ", "SAVEPOINT", "RELEASE")
# How a new connection finds out whether a pooler is in between: that belongs to connecting.
_PROBE = "current_setting('lock_timeout')"


@dataclass
class Trouble:
    """What the driver raises in calls of this context, and how often it did."""

    error: Exception
    expected: type[DatabaseError] = UnavailableError
    at_commit: bool = False
    met: list[str] = field(default_factory=list[str])


_trouble: ContextVar[Trouble | None] = ContextVar("trouble", default=None)


def answered(code: str) -> Exception:
    """What the driver makes of an answer with this code."""
    error = asyncpg.PostgresError.new({"C": code, "M": "as planned", "S": "ERROR"}, None)
    assert isinstance(error, asyncpg.PostgresError)
    return error


@pytest.fixture(autouse=True)
def troubled_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled, "ATTEMPTS", 2)
    for name in ("fetch", "execute"):
        driver = getattr(asyncpg.Connection, name)

        async def troubled(
            self: Any, query: str, *args: Any, driver: Any = driver, **options: Any
        ) -> Any:
            trouble = _trouble.get()
            if trouble is not None and _PROBE not in query:
                commits = query.lstrip().startswith("COMMIT")
                strikes = not query.lstrip().startswith(_CONTROL)
                if commits if trouble.at_commit else strikes and not commits:
                    trouble.met.append(query)
                    if commits:
                        await driver(self, "ROLLBACK")
                    raise trouble.error
            return await driver(self, query, *args, **options)

        monkeypatch.setattr(asyncpg.Connection, name, troubled)


@pytest.fixture
async def scene(dsn: str) -> AsyncIterator[Scene]:
    async with opened_scene(dsn) as made:
        yield made


async def raised(call: Callable[[], Any], trouble: Trouble) -> BaseException | None:
    async def troubled() -> None:
        _trouble.set(trouble)
        await call()

    (found,) = await asyncio.gather(troubled(), return_exceptions=True)
    return found


def fault(name: str, trouble: Trouble, found: BaseException | None) -> str | None:
    """What is wrong with the answer to a call; None when nothing is."""
    told = f"{type(trouble.error).__name__} in {name}: {found!r}"
    if not trouble.met:
        return None if trouble.at_commit else f"never met: {told}"
    if name in LOGS_ITS_FAILURES:
        return None if found is None else told
    if isinstance(found, CompletionTimeoutError):
        return None if name.endswith(".completion") else told
    if not isinstance(found, BatonError) or driver_error(found) is not trouble.error:
        return told
    assert isinstance(found, DatabaseError)
    code = getattr(trouble.error, "sqlstate", None)
    if found.sqlstate != code:
        return f"{told} with {found.sqlstate}"
    if name in ("migrate", "rollback", "verify", "current_version"):
        return None
    expected = trouble.expected
    exact = type(found) is expected or (
        expected is UnavailableError and isinstance(found, UnavailableError)
    )
    return None if exact and "as planned" in str(found) else told


def test_every_public_call_is_made_here() -> None:
    assert {name.partition(" ")[0] for name in CALLS} | set(NO_CALLS) == set(public_calls())


@pytest.mark.parametrize("name", CALLS)
async def test_what_a_statement_raises_is_a_baton_error(scene: Scene, name: str) -> None:
    faults: list[str] = []
    troubles = [Trouble(answered(code), expected) for code, expected in STATES.items()]
    for trouble in (*troubles, *(Trouble(make()) for make in LOST)):
        found = await raised(lambda: CALLS[name](scene), trouble)
        if wrong := fault(name, trouble, found):
            faults.append(wrong)
    assert faults == []


@pytest.mark.parametrize("name", CALLS)
async def test_what_a_commit_raises_is_a_baton_error(scene: Scene, name: str) -> None:
    faults: list[str] = []
    for trouble in (
        Trouble(answered("40001"), at_commit=True),
        Trouble(answered("23505"), DatabaseError, at_commit=True),
        Trouble(LOST[0](), at_commit=True),
    ):
        found = await raised(lambda: CALLS[name](scene), trouble)
        if wrong := fault(name, trouble, found):
            faults.append(wrong)
        if not trouble.met:
            return  # it has no transaction of its own, and may have ended what it needs
    assert faults == []


@pytest.mark.parametrize("name", CALLS)
async def test_what_connecting_raises_is_a_baton_error(
    scene: Scene, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[str] = []
    for error in (
        *(answered(code) for code in ("28P01", "28000", "3D000", "42704", "53300", "57P03")),
        ConnectionRefusedError("as planned"),
        FileNotFoundError("as planned"),
    ):
        trouble = Trouble(error)

        async def connect(*args: Any, trouble: Trouble = trouble, **options: Any) -> Any:
            trouble.met.append("connect")
            raise trouble.error

        with monkeypatch.context() as patch:
            patch.setattr(asyncpg, "connect", connect)
            pool = store_of(scene.engine)._pool
            assert pool is not None
            await pool.expire_connections()
            found = await raised(lambda: CALLS[name](scene), trouble)
        if wrong := fault(name, trouble, found):
            faults.append(wrong)
    assert faults == []
