"""Sweeps go on where the last one stopped: nothing in their way hides anything for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from baton import Database, Plugin
from baton.words.events import SweepFinished, WorkflowFinished
from support.race import race
from support.running import Run, recorded, running
from sweep.test_plugin import chain, sweep, vanish


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[Run]:
    async with running(dsn, queues={}) as run:
        yield run


@asynccontextmanager
async def hasty(dsn: str) -> AsyncIterator[Database]:
    """A database whose sessions do not wait long for a lock."""
    database = Database(dsn, lock_timeout=0.02)
    await database.open()
    yield database
    await database.close()


UNANNOUNCED = """
WITH nodes AS (
    UPDATE baton.workflow_nodes SET state = 'discarded' WHERE workflow_id = ANY ($1::uuid[])
    RETURNING job_id
), jobs AS (
    UPDATE baton.oban_jobs SET state = 'discarded' WHERE id IN (SELECT job_id FROM nodes)
)
UPDATE baton.workflows SET outstanding = 0, failed = 1 WHERE id = ANY ($1::uuid[])
"""


@pytest.mark.parametrize("what", ["settle", "announce"])
async def test_healthy_workflows_hide_no_other(
    client: Run, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """However many a sweep finds before it, and also one that the sweeps have passed by."""
    monkeypatch.setattr("baton.sweep.repair.STEPS", 4)
    monkeypatch.setattr("baton.sweep.repair.WORKFLOWS", 3)
    workflows = sorted((chain("a") for _ in range(10)), key=lambda w: w.workflow_id)
    for workflow in workflows:
        await client.insert(workflow)
    if what == "announce":
        for workflow in workflows[1:-1]:
            await client.engine.workflow(workflow.workflow_id).cancel()
    plugin = Plugin()
    for workflow in (workflows[-1], workflows[0]):
        if what == "announce":
            await client.tables.execute(UNANNOUNCED, [workflow.workflow_id])
        else:
            await vanish(client.tables, workflow, "a")
        for _ in range(6):
            await sweep(client, plugin)
        assert client.events.of(WorkflowFinished, workflow_id=workflow.workflow_id)
    if what == "settle":
        for workflow in workflows[1:-1]:
            await client.engine.workflow(workflow.workflow_id).cancel()


@pytest.mark.parametrize("what", ["settle", "announce"])
@pytest.mark.parametrize("victim", [0, 3])
async def test_a_locked_workflow_keeps_no_other_for_long(
    client: Run, dsn: str, what: str, victim: int
) -> None:
    """The sweep that stumbles over it passes it by."""
    workflows = sorted((chain("a") for _ in range(7)), key=lambda w: w.workflow_id)
    for workflow in workflows:
        await client.insert(workflow)
    ids = [workflow.workflow_id for workflow in workflows]
    counted = "SELECT count(*) FROM baton.workflow_completions"
    if what == "announce":
        await client.tables.execute(UNANNOUNCED, ids)
    else:
        await client.tables.execute("DELETE FROM baton.oban_jobs")
    plugin = Plugin()
    async with race(dsn) as lock, hasty(dsn) as database:
        await lock.winner.execute(
            "SELECT FROM baton.workflows WHERE id = $1 FOR UPDATE", ids[victim]
        )
        await plugin.sweep(database)
        assert await client.tables.value(counted) == 6
        assert client.events.of(SweepFinished)[0].failed == ()
        await lock.rollback()
        for _ in range(2):
            await plugin.sweep(database)
    assert await client.tables.value(counted) == 7


async def test_a_sweep_tells_once_that_the_database_is_away(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(dsn)
    await database.open()
    await database.close()
    with recorded() as events:
        await Plugin().sweep(database)
    (finished,) = events.of(SweepFinished)
    assert {"settle", "announce", "expire", "hand out"} <= set(finished.failed)
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert line.startswith("the part 'settle' of the sweep failed: UnavailableError")
