"""Databases of a test's own, with settings that expose what relies on settings."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

T = TypeVar("T")


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a loop and a thread of its own, apart from the tests' loops."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def database_dsn(server: str, name: str) -> str:
    """The DSN of another database on the same server."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def create_database(server: str, template: str = "template1") -> str:
    """A new database's DSN. Unqualified names fail in it, and so does a naive local time."""
    name = f"baton_{uuid4().hex}"
    await execute(
        server,
        f'CREATE DATABASE "{name}" TEMPLATE "{template}"',
        f'ALTER DATABASE "{name}" SET search_path = pg_catalog;'
        f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Kathmandu'",
    )
    return database_dsn(server, name)


async def drop_database(server: str, dsn: str) -> None:
    await execute(server, f'DROP DATABASE IF EXISTS "{urlsplit(dsn).path[1:]}" WITH (FORCE)')
