"""A plugin of pytest: Baton's own connections go through a pooler, the tests' go directly."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg

from baton.store import connecting
from environments.suite import POOLER
from support import running
from support.servers import DSN_VARIABLE


def _host(query: str) -> str:
    return parse_qs(query)["host"][0]


class _Driver:
    """The driver, with other directions."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncpg, name)

    async def connect(self, dsn: str, **options: Any) -> Any:
        parts = urlsplit(dsn)
        if _host(parts.query) == _host(urlsplit(os.environ[DSN_VARIABLE]).query):
            dsn = urlunsplit(parts._replace(query=f"host={os.environ[POOLER]}"))
        return await asyncpg.connect(dsn, **options)


vars(connecting)["asyncpg"] = _Driver()
# Nothing is heard through a pooler.
running.FAST["poll_interval"] = 0.05
