"""Of two runs of one step that note something under one key, the first one's note counts."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from baton import Baton, Engine, Step, worker
from baton.store.store import Store, store_of
from baton.store.waits import read_memo, write_memo
from support.inserting import Connection
from support.running import running
from support.waiting import wait_until_blocked


async def test_the_first_note_counts(dsn: str) -> None:
    workflow_id = uuid4()
    async with Engine(dsn) as client:
        note = (1, "k", workflow_id)
        assert await write_memo(store_of(client), *note, '"first"') == '"first"'
        assert await write_memo(store_of(client), *note, '"second"') == '"first"'
        assert await read_memo(store_of(client), 1, "k") == '"first"'
        assert await read_memo(store_of(client), 1, "other") is None
        assert await read_memo(store_of(client), 2, "k") is None


async def test_it_counts_also_for_the_run_that_met_it_uncommitted(dsn: str, db: Connection) -> None:
    """The second waits for the first, and its statement does not see what came of it."""
    workflow_id = uuid4()
    async with Engine(dsn) as client:
        transaction = db.transaction()
        await transaction.start()
        await db.execute(
            "INSERT INTO baton.workflow_memos (job_id, key, workflow_id, value) "
            "VALUES (1, 'k', $1, '\"first\"')",
            workflow_id,
        )
        second = asyncio.ensure_future(
            write_memo(store_of(client), 1, "k", workflow_id, '"second"')
        )
        await wait_until_blocked(dsn)
        await transaction.commit()
        assert await second == '"first"'
        assert await read_memo(store_of(client), 1, "k") == '"first"'


databases: list[Store] = []


@worker(name="tests.memo_overtaken")
async def overtaken(step: Step) -> object:
    async def make() -> str:
        assert step.workflow_id is not None
        await write_memo(databases[-1], step.job_id, "k", step.workflow_id, '"of the other run"')
        return "of this run"

    return await step.memo("k", make)


async def test_a_run_that_found_none_gives_way_to_one_that_was_faster(dsn: str) -> None:
    """A body that runs twice, as after a rescue, goes on with one value."""
    async with running(dsn) as run:
        databases.append(store_of(run.engine))
        workflow = Baton().add("s", overtaken.new())
        await run.workflow(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == "of the other run"
