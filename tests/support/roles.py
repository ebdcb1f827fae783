"""Roles of a test's own, gone after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from baton.schema import grants_sql
from baton.store.sql import DEFAULT_SCHEMA
from support.databases import execute


def dsn_as(dsn: str, role: str, password: str) -> str:
    parts = urlsplit(dsn)
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{where}"))


@asynccontextmanager
async def role(
    dsn: str, may: str | None = None, schema: str = DEFAULT_SCHEMA
) -> AsyncIterator[str]:
    """The DSN of a new role that may do this, or nothing."""
    name = f"baton_{uuid4().hex}"
    await execute(dsn, f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    try:
        if may is not None:
            await execute(dsn, grants_sql(name, may, schema=schema))
        yield dsn_as(dsn, name, name)
    finally:
        await execute(dsn, f"DROP OWNED BY {name}; DROP ROLE {name}")
