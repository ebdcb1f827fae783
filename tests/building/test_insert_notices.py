"""What an insertion tells others: the queues that have something to run now, each once."""

from __future__ import annotations

import json

import pytest

from baton import Baton, Engine, insert_all
from races.arena import heard
from support.inserting import Connection, process


def workflow() -> Baton:
    return (
        Baton()
        .add("now", process.new(), queue="now")
        .add("too", process.new(), queue="now")
        .add("other", process.new(), queue="other")
        .add("later", process.new(), queue="later", schedule_in=600)
        .add("after", process.new(), queue="after", deps=["now"])
        .wait("gate", any_of=["x"])
    )


@pytest.mark.parametrize("borrowed", [False, True])
@pytest.mark.parametrize("notify", [False, True])
async def test_only_queues_with_something_to_run_are_told(
    dsn: str, conn: Connection, borrowed: bool, notify: bool
) -> None:
    async with Engine(dsn, notify=notify) as client, heard(dsn, "baton.oban_insert") as told:
        await insert_all([workflow(), workflow()], engine=client, conn=conn if borrowed else None)
    queues = [json.loads(text)["queue"] for text in told]
    assert sorted(queues) == (["now", "other"] if notify else [])


async def test_the_states_are_those_of_what_they_wait_for(dsn: str, db: Connection) -> None:
    async with Engine(dsn) as client:
        built = workflow()
        await built.insert(engine=client)
    rows = await db.fetch(
        "SELECT n.name, j.state::text AS state, n.pending FROM baton.oban_jobs j "
        "JOIN baton.workflow_nodes n ON n.job_id = j.id ORDER BY j.id"
    )
    assert {row["name"]: (row["state"], row["pending"]) for row in rows} == {
        "now": ("available", 0),
        "too": ("available", 0),
        "other": ("available", 0),
        "later": ("scheduled", 0),
        "after": ("suspended", 1),
        "gate": ("suspended", 1),
    }
