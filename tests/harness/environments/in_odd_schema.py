"""A plugin of pytest: where Baton and the tests say "public", stands a name that needs quotes."""

from __future__ import annotations

from typing import Any

import asyncpg

from baton.store import sql

NAME = 'Der "Plan"; é%$1'
_QUOTED = '"' + NAME.replace('"', '""') + '".'


def _make(self: sql.Sql, schema: str) -> None:
    _original(self, NAME if schema == "public" else schema)


def _moved(method: Any) -> Any:
    async def call(self: Any, query: str, *args: Any, **options: Any) -> Any:
        return await method(self, query.replace("public.", _QUOTED), *args, **options)

    return call


_original = sql.Sql.__init__
vars(sql)["Sql"].__init__ = _make
for name in ("execute", "_execute"):
    setattr(asyncpg.Connection, name, _moved(getattr(asyncpg.Connection, name)))
