"""The one Postgres of a whole run: private, durable, the same for every system."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from baton.testing import embedded_postgres

DSN_VARIABLE = "BATON_BENCH_DSN"
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
}
RECORDED = [*SETTINGS, "server_version", "max_connections", "wal_sync_method", "jit"]
DATABASE = "baton_bench"


class Server:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def fresh_database(self) -> str:
        """Make the database of a run anew and write out what the last run left; its DSN."""
        asyncio.run(
            self._execute(
                f"DROP DATABASE IF EXISTS {DATABASE} (FORCE)",
                f"CREATE DATABASE {DATABASE}",
                "CHECKPOINT",
            )
        )
        return urlunsplit(urlsplit(self._dsn)._replace(path=f"/{DATABASE}"))

    def drop_database(self) -> None:
        asyncio.run(self._execute(f"DROP DATABASE IF EXISTS {DATABASE} (FORCE)"))

    def settings(self) -> dict[str, str]:
        """What of its configuration bears on the figures."""
        return asyncio.run(self._settings())

    async def _execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _settings(self) -> dict[str, str]:
        connection = await asyncpg.connect(self._dsn)
        try:
            return {
                name: str(await connection.fetchval("SELECT current_setting($1)", name))
                for name in RECORDED
            }
        finally:
            await connection.close()


@contextmanager
def running_server() -> Generator[Server, None, None]:
    """The server that `BATON_BENCH_DSN` names, else an embedded one in a temporary directory."""
    given = os.environ.get(DSN_VARIABLE)
    if given:
        server = Server(given)
        try:
            yield server
        finally:
            server.drop_database()
    else:
        with embedded_postgres(settings=SETTINGS) as dsn:
            yield Server(dsn)
