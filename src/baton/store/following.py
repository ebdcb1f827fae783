"""Runs a query along an index."""

from __future__ import annotations

import asyncpg

from baton.store.store import Store

_ORDERED = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
_GATHERED = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;"
    " SET LOCAL enable_mergejoin = off"
)


async def follow(database: Store, query: str, *args: object) -> list[asyncpg.Record]:
    """Run a query that is to follow an index up to its limit. Before the first ANALYZE the planner
    took all that the index has, to sort it.
    """
    return await _with(_ORDERED, database, query, *args)


async def gather(database: Store, query: str, *args: object) -> list[asyncpg.Record]:
    """Run a query that is to take what an index without an order has, up to its limit."""
    return await _with(_GATHERED, database, query, *args)


async def _with(settings: str, database: Store, query: str, *args: object) -> list[asyncpg.Record]:
    async with database.transaction() as connection:
        await connection.execute(settings)
        return await connection.fetch(database.sql(query), *args)
