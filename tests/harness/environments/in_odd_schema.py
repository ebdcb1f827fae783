"""A plugin of pytest: where Baton and the tests say "baton", stands a name that needs quotes."""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from baton.store import sql

NAME = 'Der "Plan"; é%$1'
_OURS = re.compile(r"\bbaton\.(?=oban_|workflow|baton_)")
_QUOTED = '"' + NAME.replace('"', '""') + '".'


def _make(self: sql.Sql, schema: str = sql.DEFAULT_SCHEMA, oban_schema: str | None = None) -> None:
    _original(self, NAME if schema == sql.DEFAULT_SCHEMA else schema, oban_schema)


def _moved(method: Any) -> Any:
    async def call(self: Any, query: str, *args: Any, **options: Any) -> Any:
        return await method(self, _OURS.sub(lambda _: _QUOTED, query), *args, **options)

    return call


_original = sql.Sql.__init__
vars(sql)["Sql"].__init__ = _make
for name in ("execute", "_execute"):
    setattr(asyncpg.Connection, name, _moved(getattr(asyncpg.Connection, name)))
