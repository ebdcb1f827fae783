"""What the sessions of Baton's own connections are like."""

from __future__ import annotations

import asyncpg


class PlainConnection(asyncpg.Connection):
    """A connection without a reset query: Baton keeps no session state, so a release costs no round
    trip.
    """

    def get_reset_query(self) -> str:
        return ""


def server_settings(application_name: str) -> dict[str, str]:
    """Session settings of Baton's own connections.

    The hot path reads after it locks, so it needs READ COMMITTED whatever the database's default
    is.
    """
    return {
        "application_name": application_name,
        "default_transaction_isolation": "read committed",
        "search_path": "pg_catalog",
        "jit": "off",
        # A plan made while a table was empty outlives its growth: until the first autovacuum a
        # single failure read the table once for every step below it.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    }
