"""Statements begin with their verb: tracers name them by their first word."""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePath

import pytest

from baton.store.sql import Sql
from baton.store.store import store_of
from support.inserting import Connection
from support.running import fast

QUERIES = sorted(
    PurePath(file.name).stem
    for file in files("baton").joinpath("store", "queries").iterdir()
    if file.name.endswith(".sql")
)


def test_there_are_queries() -> None:
    assert len(QUERIES) > 50


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_begins_with_its_verb(name: str) -> None:
    first = Sql("baton")(name).split(None, 1)[0]
    assert first in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE", "DO"}, first


async def test_what_the_server_shows_begins_with_it_too(dsn: str, db: Connection) -> None:
    async with fast(dsn) as engine:
        await store_of(engine).fetch("count_queues")
        shown = await db.fetch(
            "SELECT query FROM pg_stat_activity WHERE application_name LIKE 'baton%'"
            " AND datname = current_database() AND query <> ''"
        )
    assert shown
    assert [row["query"] for row in shown if row["query"].lstrip().startswith("--")] == []
