"""Kinds of trouble with a server, each a context that lasts as long as the trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import asyncpg

from baton import Engine
from support.databases import execute
from support.restarting import RestartingServer
from support.waiting import eventually

MOST_CONNECTIONS = 24
SETTINGS = {"fsync": "off", "max_connections": str(MOST_CONNECTIONS)}

_ENDED = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'baton%'"
)
_TABLES = ("oban_jobs", "workflows", "workflow_nodes", "baton_engines")


@asynccontextmanager
async def away(server: RestartingServer, engine: Engine) -> AsyncIterator[None]:
    await server.crash()
    try:
        yield
    finally:
        await server.start()


@asynccontextmanager
async def read_only(server: RestartingServer, engine: Engine) -> AsyncIterator[None]:
    """As after a failover to a standby."""
    await execute(
        server.dsn,
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    )
    try:
        yield
    finally:
        await execute(
            server.dsn,
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )


@asynccontextmanager
async def refusing(code: str, server: RestartingServer, engine: Engine) -> AsyncIterator[None]:
    """Every change fails with this SQLSTATE."""
    await execute(
        engine.database.dsn,
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        f" RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{code}'; END$$",
        *(
            f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON baton.{table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION public.refuse()"
            for table in _TABLES
        ),
    )
    try:
        yield
    finally:
        await execute(engine.database.dsn, "DROP FUNCTION public.refuse() CASCADE")


@asynccontextmanager
async def no_connection(server: RestartingServer, engine: Engine) -> AsyncIterator[None]:
    """Others hold all connections of the server."""
    first = await asyncpg.connect(server.dsn)
    held = [first]

    async def all_held() -> bool:
        try:
            while True:
                held.append(await asyncpg.connect(server.dsn))
        except asyncpg.TooManyConnectionsError:
            return not await first.fetch(_ENDED)

    try:
        await eventually(all_held)
        yield
    finally:
        await asyncio.gather(*(connection.close() for connection in held))


@asynccontextmanager
async def no_pooled_connection(server: RestartingServer, engine: Engine) -> AsyncIterator[None]:
    """Somebody in the process holds all connections of the pool."""
    async with AsyncExitStack() as held:
        for _one in range(engine.settings.pool_size):
            await held.enter_async_context(engine.database.connection())
        yield


Trouble = Callable[[RestartingServer, Engine], AbstractAsyncContextManager[Any]]
TROUBLES: Mapping[str, Trouble] = {
    "away": away,
    "read-only": read_only,
    "disk full": partial(refusing, "53100"),
    "out of memory": partial(refusing, "53200"),
    "too many connections": no_connection,
    "pool exhausted": no_pooled_connection,
}
