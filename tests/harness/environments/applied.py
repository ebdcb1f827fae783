"""Run with the suite in every environment: whether it is the one that it is named for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from baton.store.connecting import Connector
from baton.store.session import server_settings
from environments.suite import FACTS, POOLER
from support.waiting import eventually

_SCHEMA = """
SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'oban_jobs' AND c.relkind = 'r'
"""
_BEHIND = "SELECT extract(epoch FROM clock_timestamp())::float8 - $1"


async def test_the_environment_applies(dsn: str) -> None:
    wanted: dict[str, str] = json.loads(os.environ[FACTS])
    tables = await asyncpg.connect(dsn)
    ours = await Connector(dsn).session(server_settings=server_settings("baton"), timeout=10.0)
    try:
        found = {
            "server": str(tables.get_server_version().major),
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
            "schema": await tables.fetchval(_SCHEMA),
            # Only a pooler lends its sessions.
            "pooled": str(bool(ours.lent)),
            "clock": f"{-await tables.fetchval(_BEHIND, time.time()) / 60:+.0f} min",
            "pace": f"{await _pace():.2f}",
        }
        if "settings" in wanted:
            found["settings"] = await _settings(dsn)
        for name in wanted.keys() - found.keys():
            setting: str = await tables.fetchval("SELECT current_setting($1)", name)
            # An empty list is shown as one of an empty name.
            found[name] = setting.strip('"')
    finally:
        await ours.close()
        await tables.close()
    assert {name: found[name] for name in wanted} == wanted


async def _settings(dsn: str) -> str:
    """What the pooler does with a setting that a session brings."""
    through = urlunsplit(urlsplit(dsn)._replace(query=f"host={os.environ[POOLER]}"))
    try:
        session = await asyncpg.connect(
            through, server_settings={"lock_timeout": "1234"}, statement_cache_size=0
        )
    except asyncpg.PostgresError:
        return "refused"
    try:
        kept = await session.fetchval("SELECT current_setting('lock_timeout')") == "1234ms"
        return "kept" if kept else "forgotten"
    finally:
        await session.close()


async def _pace() -> float:
    """How fast the clock goes beside the one that nobody sets."""
    began, passed = time.time(), time.monotonic()

    async def look() -> bool:
        return time.monotonic() - passed > 0.3

    await eventually(look)
    return (time.time() - began) / (time.monotonic() - passed)
