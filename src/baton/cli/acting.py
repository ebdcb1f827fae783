"""How a command acts: by an engine without queues, in the name of the system's user."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TypeVar

from baton.cli.reporting import checked_dsn, fail, reported
from baton.engine import Engine
from baton.words.database_errors import UnavailableError

T = TypeVar("T")


def act(
    dsn: str | None,
    schema: str,
    oban_schema: str | None,
    body: Callable[[Engine], Awaitable[T]],
    *,
    in_doubt: str = "call it again",
) -> T:
    """What `body` returns; ends the command with one line where it is refused. `in_doubt` is what
    to do when it is unknown whether it was done.
    """
    dsn = checked_dsn(dsn)

    async def work() -> T:
        async with Engine(
            dsn, schema=schema, oban_schema=oban_schema, name="baton-cli", pool_size=2
        ) as engine:
            return await body(engine)

    with reported(dsn):
        try:
            return asyncio.run(work())
        except UnavailableError as error:
            if error.in_doubt:
                fail(f"{error.message}; whether it was done is unknown: {in_doubt}")
            raise
    raise AssertionError("unreachable")


def actor(by: str | None) -> str | None:
    """Who acts: the one named, else the system's user, where it has a name."""
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
