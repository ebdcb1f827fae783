"""Runs a query along an index."""

from __future__ import annotations

import asyncpg

from baton.store.database import Database


async def follow(database: Database, query: str, *args: object) -> list[asyncpg.Record]:
    """Run a query that is to follow an index up to its limit. Before the first ANALYZE the planner
    took all that the index has, to sort it.
    """
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
        return await connection.fetch(database.sql(query), *args)
