"""A server that has no room for notifications keeps nothing from being staged, swept, cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from baton import Baton, EngineSettings, Plugin, Step, schema, send_event, worker
from baton.runs.cancel import cancel_workflow
from baton.runtime.stager import Stager
from baton.settling.announce import announce_all
from baton.store.database import database_of
from baton.store.store import Store, store_of
from baton.waits.expire import expire_waits
from support.databases import create_database, drop_database
from support.full_queue import full_queue, small_queue_server
from support.running import Run, running


@worker(name="full.works")
async def works(step: Step) -> int:
    return step.attempt


@pytest.fixture(scope="module")
def small_queue() -> Iterator[str]:
    with small_queue_server() as server:
        yield server


@pytest.fixture
async def run(small_queue: str) -> AsyncIterator[Run]:
    dsn = await create_database(small_queue)
    await schema.migrate(dsn)
    async with running(dsn, queues={}) as made:
        yield made
    await drop_database(small_queue, dsn)


async def _stage(database: Store, workflow: Baton) -> None:
    await Stager(database, EngineSettings(), lambda queue: None).stage()


async def _announce(database: Store, workflow: Baton) -> None:
    assert await announce_all(database, [workflow.workflow_id], notify=True)


async def _cancel(database: Store, workflow: Baton) -> None:
    assert await cancel_workflow(database, workflow.workflow_id, "no", notify=True)


async def _sweep(database: Store, workflow: Baton) -> None:
    await Plugin().sweep(database_of(database))


_ENDED = """
WITH nodes AS (UPDATE baton.workflow_nodes SET state = 'discarded', pending = 0),
jobs AS (UPDATE baton.oban_jobs SET state = 'discarded', discarded_at = timezone('UTC', now()))
UPDATE baton.workflows SET outstanding = 0, failed = steps, finished_at = now()
"""
_JOBS = "UPDATE baton.oban_jobs SET {}"
_COMPLETIONS = "SELECT count(*) = 1 FROM baton.workflow_completions"
_STATES = "SELECT bool_and(state = '{}') FROM baton.oban_jobs"

Case = tuple[str, Callable[[Store, Baton], Awaitable[None]], str]
CASES: dict[str, Case] = {
    "stage": (
        _JOBS.format("scheduled_at = timezone('UTC', now())"),
        _stage,
        _STATES.format("available"),
    ),
    "announce": (_ENDED, _announce, _COMPLETIONS),
    "cancel": (_JOBS.format("state = 'executing', attempt = 1"), _cancel, _COMPLETIONS),
    "announce by the sweep": (_ENDED, _sweep, _COMPLETIONS),
    "settle by the sweep": ("DELETE FROM baton.oban_jobs", _sweep, _COMPLETIONS),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_full_queue_keeps_nothing_from(run: Run, case: str) -> None:
    prepare, work, done = CASES[case]
    workflow = Baton().add("a", works.new(), schedule_in=3_600)
    await run.insert(workflow)
    await run.tables.execute(prepare)
    database = Store(run.engine.database.dsn)
    await database.open()
    try:
        async with full_queue(database.dsn):
            await work(database, workflow)
            assert await run.tables.value(done)
    finally:
        await database.close()
        if case == "stage":
            await cancel_workflow(store_of(run.engine), workflow.workflow_id, "end", notify=False)


def _waits(**options: Any) -> Baton:
    return Baton().wait("g", any_of=["x"], timeout=3_600, correlation_key="k", **options)


_OVERDUE = (
    "UPDATE baton.workflow_wait_groups SET deadline = now() - interval '1 s', wake_at = now()"
)
_ENDINGS: dict[str, tuple[Baton, Callable[[Run, UUID], Awaitable[object]]]] = {
    "an event": (_waits(), lambda run, flow: send_event(flow, "x", 1, engine=run.engine)),
    "a key": (
        _waits(),
        lambda run, flow: send_event(None, "x", 1, correlation_key="k", engine=run.engine),
    ),
    "a cancellation": (_waits(), lambda run, flow: run.engine.workflow(flow).cancel_wait("g")),
    "its time": (_waits(), lambda run, flow: _expire(run)),
    "its time, failing": (_waits(on_timeout="cancel"), lambda run, flow: _expire(run)),
}


async def _expire(run: Run) -> None:
    await run.tables.execute(_OVERDUE)
    await expire_waits(store_of(run.engine), EngineSettings())


@pytest.mark.parametrize("how", _ENDINGS)
async def test_a_full_queue_keeps_no_wait_from_its_end(run: Run, how: str) -> None:
    workflow, end = _ENDINGS[how]
    await run.insert(workflow)
    async with full_queue(run.engine.database.dsn):
        await end(run, workflow.workflow_id)
        assert await run.tables.value(_COMPLETIONS)
