"""Pruning of what belongs to no workflow: events sent by a key, and what other jobs recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from baton import Baton, Delivery, Plugin, Step, send_event, worker
from baton.errors import InvalidOptionError
from baton.store.pruning import BEGINNING
from baton.store.store import store_of
from baton.words.events import RowsPruned, StepCompleted
from support.race import race
from support.running import Run, running
from support.waits import until_waits

EVENTS = "SELECT array_agg(name ORDER BY id) FROM baton.workflow_events"


@pytest.fixture
async def run(dsn: str) -> AsyncIterator[Run]:
    async with running(dsn) as made:
        yield made


async def sweep(run: Run, **options: float | timedelta | None) -> None:
    await Plugin(prune=True, prune_limit=10, **options).sweep(run.engine.database)  # type: ignore[arg-type]


async def age(run: Run, seconds: int = 7200) -> None:
    await run.tables.execute(
        f"UPDATE baton.workflow_events SET sent_at = now() - interval '{seconds} s'"
    )


async def events(run: Run) -> list[str]:
    return await run.tables.value(EVENTS) or []


def gate(key: str = "k", name: str = "x") -> Baton:
    return Baton().wait("gate", any_of=[name], correlation_key=key, timeout=3600)


async def test_an_event_stays_as_long_as_a_wait_that_received_it(run: Run) -> None:
    served = [gate(), gate()]
    for workflow in served:
        await run.insert(workflow)
    for workflow in served:
        await until_waits(run.tables, workflow)
    await send_event(None, "x", {"to": "all"}, correlation_key="k", engine=run.engine)
    for workflow in served:
        assert (await run.end(workflow)).outcome == "completed"
    await age(run)
    await sweep(run, event_max_age=60)
    assert await events(run) == ["x"]
    first = (await run.tables.step(served[0], "gate")).id
    await run.tables.execute("DELETE FROM baton.oban_jobs WHERE id = $1", first)
    await sweep(run, event_max_age=60)
    assert await events(run) == ["x"]
    await run.tables.execute("DELETE FROM baton.oban_jobs")
    await sweep(run, event_max_age=60)
    assert await events(run) == []
    assert run.events.of(RowsPruned)[-1].tables == {"workflow_events": 1}


async def test_an_event_that_nobody_came_for_goes_by_its_age(run: Run) -> None:
    for name in ("old", "older", "young"):
        await send_event(None, name, correlation_key="k", engine=run.engine)
    await run.tables.execute(
        "UPDATE baton.workflow_events SET sent_at = now() - interval '2 h' WHERE name <> 'young'"
    )
    await sweep(run)
    await sweep(run, event_max_age=None)
    await sweep(run, event_max_age=timedelta(hours=3))
    assert await events(run) == ["old", "older", "young"]
    await Plugin(event_max_age=60).sweep(run.engine.database)
    assert await events(run) == ["old", "older", "young"]
    await sweep(run, event_max_age=60)
    assert await events(run) == ["young"]


async def test_a_dedupe_id_is_forgotten_with_its_event(run: Run) -> None:
    async def send() -> Delivery:
        return await send_event(None, "x", correlation_key="k", dedupe_id="d", engine=run.engine)

    assert [await send(), await send()] == [Delivery.BUFFERED, Delivery.DUPLICATE]
    await sweep(run, event_max_age=3600)
    assert await send() is Delivery.DUPLICATE
    await age(run)
    await sweep(run, event_max_age=3600)
    assert await send() is Delivery.BUFFERED


async def test_events_of_a_workflow_and_open_ones_are_left_alone(run: Run) -> None:
    workflow = gate(name="other")
    await run.insert(workflow)
    await send_event(workflow.workflow_id, "mine", engine=run.engine)
    await send_event(None, "open", correlation_key="none", engine=run.engine)
    await run.tables.execute(
        "UPDATE baton.workflow_events SET state = 'open', wake_at = now() + interval '1 h'"
        " WHERE name = 'open'"
    )
    await age(run)
    await sweep(run, event_max_age=1)
    assert await events(run) == ["mine", "open"]
    await run.engine.workflow(workflow.workflow_id).cancel()


async def test_events_that_are_kept_hide_no_other(run: Run) -> None:
    """More old events whose waits are there than a sweep looks at: the others get their turn."""
    waiting = [gate(key=f"k{number}") for number in range(25)]
    for number, workflow in enumerate(waiting):
        await run.insert(workflow)
        await send_event(None, "x", correlation_key=f"k{number}", engine=run.engine)
        await run.end(workflow)
    await send_event(None, "last", correlation_key="k", engine=run.engine)
    await age(run)
    plugin = Plugin(prune=True, prune_limit=10, event_max_age=60)
    for _ in range(3):
        await plugin.sweep(run.engine.database)
    assert await events(run) == ["x"] * 25
    await run.tables.execute("DELETE FROM baton.oban_jobs")
    gone = 25
    for _ in range(9):
        await plugin.sweep(run.engine.database)
        left = len(await events(run))
        assert gone - left <= 10
        gone = left
    assert gone == 0


async def test_an_event_that_is_received_at_this_moment_is_kept(run: Run, dsn: str) -> None:
    """Whoever takes it holds its row: it is passed by; and whoever comes too late waits on."""
    await send_event(None, "x", {"n": 1}, correlation_key="k", engine=run.engine)
    await age(run)
    taker = gate()
    async with race(dsn) as lock:
        await lock.winner.execute("SELECT FROM baton.workflow_events FOR NO KEY UPDATE")
        await sweep(run, event_max_age=60)
        assert await events(run) == ["x"]
        await lock.rollback()
    await run.insert(taker)
    await run.end(taker)
    await sweep(run, event_max_age=60)
    assert await events(run) == ["x"]
    assert (await run.tables.step(taker, "gate")).result["events"] == {"x": {"n": 1}}


RECEIVE = """
UPDATE baton.workflow_events SET receivers = 1, state = 'taken';
INSERT INTO baton.workflow_wait_members (
    group_id, name, workflow_id, correlation_key, state, event_id
)
SELECT -1, 'x', gen_random_uuid(), 'k', 'received', id FROM baton.workflow_events
"""
NAIVE = """
DELETE FROM baton.workflow_events e WHERE e.id IN (
    SELECT id FROM baton.workflow_events WHERE correlation_key IS NOT NULL FOR UPDATE
) AND NOT EXISTS (SELECT FROM baton.workflow_wait_members m WHERE m.event_id = e.id)
"""


async def test_who_receives_it_between_look_and_deletion_is_seen(run: Run, dsn: str) -> None:
    """In one statement they would not be: its snapshot is older than the lock it waits for."""
    await send_event(None, "x", {"n": 1}, correlation_key="k", engine=run.engine)
    await age(run)
    async with race(dsn) as lost:
        await lost.winner.execute(RECEIVE)
        naive = await lost.behind(run.tables.execute(f"BEGIN; {NAIVE}"))
        await lost.commit()
        await naive
        assert await events(run) == []
        await run.tables.execute("ROLLBACK")
        await run.tables.execute("DELETE FROM baton.workflow_wait_members")
    sql = store_of(run.engine).sql
    async with race(dsn) as lock:
        (found,) = await lock.winner.fetch(sql("lock_key_events"), 60.0, *BEGINNING, 10)
        receiver = await lock.behind(run.tables.execute(RECEIVE))
        receiver.cancel()
        await lock.winner.execute(RECEIVE)
        (row,) = await lock.winner.fetch(sql("prune_key_events"), [found["id"]])
        assert row["deleted"] == 0


@worker(name="prune.loose")
async def records(step: Step) -> None:
    await step.record_usage(model="house-llm", input_tokens=1, output_tokens=1)
    await step.capture("context", {"a": 1})


COUNTS = (
    "SELECT count(*) FROM baton.workflow_step_stats",
    "SELECT count(*) FROM baton.workflow_debug_logs",
)


async def loose(run: Run) -> list[int]:
    return [await run.tables.value(count) for count in COUNTS]


async def test_what_other_jobs_recorded_goes_with_their_jobs(dsn: str) -> None:
    async with running(dsn, debug=True) as run:
        for _ in range(25):
            await run.tables.execute(
                "INSERT INTO baton.oban_jobs (worker, args) VALUES ('prune.loose', $1::jsonb)",
                json.dumps({}),
            )
        run.engine.queue("default").resume()
        await run.events.until(StepCompleted, 25)
        assert await loose(run) == [25, 25]
        plugin = Plugin(prune=True, prune_limit=10)
        for _ in range(4):
            await plugin.sweep(run.engine.database)
        assert await loose(run) == [25, 25]
        await run.tables.execute("DELETE FROM baton.oban_jobs WHERE id % 2 = 0")
        for _ in range(4):
            before = await loose(run)
            await plugin.sweep(run.engine.database)
            assert max(a - b for a, b in zip(before, await loose(run), strict=True)) <= 10
        assert await loose(run) == [13, 13]
        await run.tables.execute("DELETE FROM baton.oban_jobs")
        for _ in range(4):
            await plugin.sweep(run.engine.database)
        assert await loose(run) == [0, 0]


async def test_what_a_workflow_recorded_stays_with_it(dsn: str) -> None:
    async with running(dsn, debug=True) as run:
        workflow = Baton().add("a", records.new()).add("b", records.new(), schedule_in=3600)
        await run.insert(workflow)
        await run.tables.until(workflow, "a", "completed")
        await run.tables.execute("DELETE FROM baton.oban_jobs WHERE state = 'completed'")
        await sweep(run)
        assert await loose(run) == [1, 1]
        await run.engine.workflow(workflow.workflow_id).cancel()


@pytest.mark.parametrize("wrong", [-1, "1 day", float("nan"), True])
def test_a_wrong_age_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidOptionError, match="event_max_age"):
        Plugin(event_max_age=wrong)  # type: ignore[arg-type]
