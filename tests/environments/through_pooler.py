"""A plugin of pytest: Baton's own connections go through a pooler, the tests' go directly."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from baton.store import session
from support import running
from support.servers import DSN_VARIABLE

VARIABLE = "BATON_TEST_POOLER"
"""Names the folder of the pooler's socket."""


class _Driver:
    """The driver, with other directions."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncpg, name)

    async def connect(self, dsn: str, **options: Any) -> Any:
        parts = urlsplit(dsn)
        if parts.query == urlsplit(os.environ[DSN_VARIABLE]).query:
            dsn = urlunsplit(parts._replace(query=f"host={os.environ[VARIABLE]}"))
        return await asyncpg.connect(dsn, **options)


vars(session)["asyncpg"] = _Driver()
# Nothing is heard through a pooler.
running.FAST["poll_interval"] = 0.05
