"""What the sessions of Baton's own connections are like."""

from __future__ import annotations

import asyncpg


class PlainConnection(asyncpg.Connection):
    """A connection without a reset query: Baton keeps no session state, so a release costs no round
    trip.
    """

    def get_reset_query(self) -> str:
        return ""


LOCK_TIMEOUT = 2.0
"""Seconds for which Baton's sessions wait for a lock."""


def server_settings(application_name: str, *, lock_timeout: float = LOCK_TIMEOUT) -> dict[str, str]:
    """Session settings of Baton's own connections; `lock_timeout` in seconds.

    The hot path reads after it locks, so it needs READ COMMITTED whatever the database's default
    is.
    """
    return {
        "application_name": application_name,
        "default_transaction_isolation": "read committed",
        "search_path": "pg_catalog",
        "jit": "off",
        # What waits for a lock holds up all that is settled with it.
        "lock_timeout": f"{lock_timeout * 1000:.0f}",
        # A plan made while a table was empty outlives its growth: until the first autovacuum a
        # single failure read the table once for every step below it.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    }
