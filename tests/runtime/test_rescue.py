"""Jobs that nobody runs are rescued, and no others; connections may die at any time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any, TypedDict
from uuid import uuid4

import pytest

from baton import Baton, Completion, Step, insert_all, worker
from baton.words.events import (
    ConnectionLost,
    ConnectionRegained,
    JobsRescued,
    StepCompleted,
    StepDiscarded,
    StepExecuting,
    StepInterrupted,
    WorkflowFinished,
)
from baton.workers.registry import held_spec
from support.running import Run, Tables, fast, opened, running
from support.waiting import eventually


class QuickOptions(TypedDict):
    heartbeat_interval: float
    rescue_after: float
    rescue_interval: float


QUICK: QuickOptions = {
    "heartbeat_interval": 0.1,
    "rescue_after": 0.5,
    "rescue_interval": 0.03,
}
LONG_AGO = "timezone('UTC', now()) - interval '1 hour'"


@worker
async def works(step: Step) -> int:
    return step.attempt


@worker
async def adds(step: Step) -> int:
    return 1 + sum(int(value) for value in (await step.results()).values())


def later(*names: str, **options: Any) -> Baton:
    workflow = Baton()
    for name in names:
        workflow.add(name, works.new(), schedule_in=1_000, **options)
    return workflow


async def orphan(tables: Tables, workflow: Baton, name: str, by: object, **more: object) -> None:
    """A job as an engine leaves it that died while running it."""
    columns: dict[str, object] = {
        "state": "'executing'",
        "attempt": 1,
        "attempted_at": "timezone('UTC', now())",
        "attempted_by": f"'{{node,{by},baton}}'",
        "scheduled_at": "timezone('UTC', now())",
        **more,
    }
    await tables.change(workflow, name, **columns)


async def two_passes(run: Run) -> None:
    """Wait until rescuers have begun and ended a look at all rows."""
    for _ in range(2):
        workflow = later("sentinel")
        await run.insert(workflow)
        await orphan(run.tables, workflow, "sentinel", uuid4())
        await run.end(workflow)


async def test_a_job_of_a_dead_engine_is_run_again(dsn: str) -> None:
    dead = uuid4()
    workflow = later("a", "twice", max_attempts=1)
    async with running(dsn, **QUICK) as run:
        await run.insert(workflow)
        await orphan(run.tables, workflow, "a", dead)
        await run.events.until(JobsRescued)
        await run.tables.until(workflow, "a", "completed")
        row = await run.tables.step(workflow, "a")
        # The attempt was given back: it was the only one.
        assert (row.attempt, row.result) == (1, 1)
        (error,) = row.errors
        assert error["rescued"] is True
        assert error["attempt"] == 1
        assert error["error"] == f"rescued: engine {dead} stopped while running it"
        await orphan(run.tables, workflow, "twice", dead)
        await run.end(workflow)
        _, second = await run.events.until(JobsRescued, 2)
        assert second == JobsRescued("default", (row.id + 1,))


async def test_a_job_that_kills_its_engines_is_discarded(dsn: str) -> None:
    workflow = later("a").add("b", works.new(), deps=["a"])
    async with running(dsn, queues={"elsewhere": 1}, max_rescues=3, **QUICK) as run:
        await run.insert(workflow)
        for times in range(1, 4):
            await orphan(run.tables, workflow, "a", uuid4())
            await run.events.until(JobsRescued, times)
            row = await run.tables.step(workflow, "a")
            assert (row.state, row.attempt, len(row.errors)) == ("available", 0, times)
        await orphan(run.tables, workflow, "a", uuid4())
        end = await run.end(workflow)
        assert end.failed_steps == ("a", "b")
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.settled) == ("discarded", "discarded")
        assert row.error.endswith("stopped while running it, after 3 rescues")
        (told,) = run.events.of(StepDiscarded)
        facts = (told.job_id, told.worker, told.queue, told.workflow_id, told.step, told.error)
        worker = held_spec(works).name
        assert facts == (row.id, worker, "default", workflow.workflow_id, "a", row.error)
        assert told.duration > 0
        assert (await run.tables.step(workflow, "b")).error == "dependency 'a' was discarded"


async def test_two_engines_rescue_a_job_once(dsn: str) -> None:
    names = [str(number) for number in range(30)]
    workflow = later(*names)
    async with running(dsn, **QUICK) as run, fast(dsn, name="other", **QUICK):
        await run.insert(workflow)
        for name in names:
            await orphan(run.tables, workflow, name, uuid4())
        assert (await run.end(workflow)).outcome == "completed"
        for name in names:
            row = await run.tables.step(workflow, name)
            assert (row.attempt, len(row.errors)) == (1, 1)

        async def rescued() -> Counter[int] | None:
            # An engine tells of its rescues after the commit that lets the other run the jobs.
            found = Counter(i for event in run.events.of(JobsRescued) for i in event.job_ids)
            return found if found.total() >= len(names) else None

        assert set((await eventually(rescued) or {}).values()) == {1}


async def test_a_job_of_a_live_engine_is_left_alone(dsn: str) -> None:
    go = asyncio.Event()

    @worker
    async def waits(step: Step) -> None:
        await go.wait()

    workflow = Baton().add("a", waits.new())
    async with running(dsn, **QUICK) as run, fast(dsn, name="other", **QUICK):
        await run.insert(workflow)
        await run.events.until(StepExecuting)
        # Its claim is old; its engine's heartbeat is not.
        await run.tables.execute(
            "UPDATE baton.oban_jobs SET scheduled_at = scheduled_at - interval '1 day'"
        )
        await two_passes(run)
        go.set()
        await run.end(workflow)
        row = await run.tables.step(workflow, "a")
        assert (row.attempt, row.errors) == (1, [])


FOREIGN = ["'{their-node}'", "NULL", "'{}'", "'{node,9f,other}'", "ARRAY[NULL, NULL, NULL]::text[]"]


async def test_jobs_of_other_hosts_are_rescued_by_age_if_at_all(dsn: str) -> None:
    await_columns = "ALTER TABLE baton.oban_jobs ALTER COLUMN attempted_by DROP NOT NULL"
    names = [str(number) for number in range(len(FOREIGN))]
    workflow = later(*names, "young")
    async with opened(dsn) as tables:
        await tables.execute(await_columns)
        async with running(dsn, **QUICK) as run:
            await run.insert(workflow)
            for name, by in zip(names, FOREIGN, strict=True):
                await orphan(tables, workflow, name, "", attempted_by=by, attempted_at=LONG_AGO)
            await orphan(tables, workflow, "young", "", attempted_by=FOREIGN[0])
            await two_passes(run)
            assert set((await tables.states(workflow)).values()) == {"executing"}
            async with fast(dsn, name="other", foreign_rescue_after=600, **QUICK):
                for name in names:
                    row = await tables.until(workflow, name, "completed")
                    assert row.errors[0]["rescued"] is True
                await two_passes(run)
                assert (await tables.step(workflow, "young")).state == "executing"
            await run.engine.workflow(workflow.workflow_id).cancel()


async def test_a_claim_whose_reply_was_lost_is_released(dsn: str) -> None:
    workflow = later("old", "young", "running")
    async with running(dsn, command_timeout=30, **QUICK) as run:
        await run.insert(workflow)
        mine = run.engine.engine_id
        ages = {"old": "61 s", "young": "50 s"}
        for name, age in ages.items():
            claimed = f"timezone('UTC', now()) - interval '{age}'"
            await orphan(run.tables, workflow, name, mine, attempted_at=claimed)
        await run.tables.until(workflow, "old", "completed")
        await two_passes(run)
        # Its statement may still be under way.
        assert (await run.tables.step(workflow, "young")).state == "executing"
        await run.tables.change(workflow, "young", attempted_at=LONG_AGO)
        await run.tables.until(workflow, "young", "completed")
        await run.engine.workflow(workflow.workflow_id).cancel()


async def test_rows_nobody_should_have_written_are_rescued_too(dsn: str) -> None:
    oddities = [
        "'{}'",
        "'null'",
        "'5'",
        "'[null, 5, [], {\"rescued\": 1}]'",
        "'[{\"rescued\": true}]'",
    ]
    names = [str(number) for number in range(len(oddities))]
    workflow = later(*names, "unclaimed")
    async with running(dsn, max_rescues=1, **QUICK) as run:
        await run.insert(workflow)
        for name, errors in zip(names, oddities, strict=True):
            await orphan(run.tables, workflow, name, uuid4(), errors=errors)
        # Nothing fences a claim without a time; it must not hold up the others.
        await orphan(run.tables, workflow, "unclaimed", uuid4(), attempted_at="NULL")
        for name in names[:-1]:
            await run.tables.until(workflow, name, "completed")
        await run.tables.until(workflow, names[-1], "discarded")
        await two_passes(run)
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 1


async def test_errors_as_elixir_keeps_them(dsn: str) -> None:
    async with opened(dsn) as tables:
        await tables.execute(
            "ALTER TABLE baton.oban_jobs ALTER COLUMN errors DROP DEFAULT;"
            "ALTER TABLE baton.oban_jobs ALTER COLUMN errors TYPE jsonb[] USING '{}';"
            "ALTER TABLE baton.oban_jobs ALTER COLUMN errors SET DEFAULT '{}'"
        )

    @worker(max_attempts=2, backoff=0)
    async def fails(step: Step) -> None:
        raise ValueError(step.attempt)

    workflow = later("a").add("fails", fails.new()).add("b", works.new(), deps=["fails"])
    async with running(dsn, max_rescues=1, **QUICK) as run:
        await run.insert(workflow)
        await orphan(run.tables, workflow, "a", uuid4())
        await run.tables.until(workflow, "a", "completed")
        assert (await run.end(workflow)).failed_steps == ("fails", "b")
        assert (await run.tables.step(workflow, "a")).errors[0]["rescued"] is True
        assert [e["attempt"] for e in (await run.tables.step(workflow, "fails")).errors] == [1, 2]


async def test_a_job_ended_by_hand_is_interrupted(dsn: str) -> None:
    interrupted = asyncio.Event()

    @worker
    async def waits(step: Step) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            interrupted.set()

    workflow = Baton().add("a", waits.new())
    async with running(dsn, **QUICK) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting)
        await run.tables.change(workflow, "a", state="'cancelled'")
        await run.events.until(StepInterrupted)
        assert interrupted.is_set()
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 0
        assert (await run.end(workflow)).failed_steps == ("a",)


@worker
async def blocks_the_loop(step: Step, *, seconds: float) -> int:
    time.sleep(seconds)  # noqa: ASYNC251 that is the point
    return step.attempt


async def test_a_step_that_blocks_the_loop_is_not_rescued(dsn: str) -> None:
    started, stop = threading.Event(), threading.Event()

    async def rescues() -> None:
        async with fast(dsn, name="rescuer", queues={"elsewhere": 1}, **QUICK):
            started.set()
            await asyncio.to_thread(stop.wait, 20)

    rescuer = threading.Thread(target=asyncio.run, args=(rescues(),))
    rescuer.start()
    try:
        async with opened(dsn) as tables:
            patient: QuickOptions = {**QUICK, "rescue_interval": 300}
            engine = fast(dsn, **patient)
            async with engine:
                await asyncio.to_thread(started.wait, 10)
                workflow = Baton().add("a", blocks_the_loop.new(seconds=1.2))
                dead = later("dead", queue="elsewhere")
                await insert_all([workflow, dead], engine=engine)
                await engine.workflow(workflow.workflow_id).completion(timeout=20)
                row = await tables.step(workflow, "a")
                assert (row.attempt, row.result, row.errors) == (1, 1, [])
                # The other one does rescue.
                await orphan(tables, dead, "dead", uuid4())
                await tables.until(dead, "dead", "available", "completed")
    finally:
        stop.set()
        await asyncio.get_running_loop().run_in_executor(None, rescuer.join)


KILL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name LIKE 'baton%' AND datname = current_database()
"""


@pytest.mark.parametrize("notify", [True, False])
async def test_connections_that_die_lose_nothing(dsn: str, notify: bool) -> None:
    workflows = [
        Baton()
        .add("a", adds.new())
        .add("b", adds.new(), deps=["a"])
        .add("c", adds.new(), deps=["a"])
        .add("d", adds.new(), deps=["b", "c"])
        for _ in range(200)
    ]
    options: QuickOptions = {**QUICK, "rescue_after": 30}
    async with running(
        dsn, command_timeout=1, poll_interval=0.1, notify=notify, queues={"default": 12}, **options
    ) as run:
        await insert_all(workflows, engine=run.engine)
        ends = [
            asyncio.create_task(run.engine.workflow(w.workflow_id).completion(timeout=60))
            for w in workflows
        ]
        killed = 0
        for completed in (20, 150, 300, 301, 450, 600):
            await run.events.until(StepCompleted, completed)
            killed += await run.tables.value(KILL)
        assert killed > 6
        found: list[Completion] = await asyncio.gather(*ends)
        assert {end.outcome for end in found} == {"completed"}
        for workflow in workflows:
            assert (await run.tables.step(workflow, "d")).result == 5
        counts = Counter((e.workflow_id, e.step) for e in run.events.of(StepCompleted))
        assert set(counts.values()) == {1}
        assert len(counts) == 800
        finished = Counter(event.workflow_id for event in run.events.of(WorkflowFinished))
        assert set(finished.values()) == {1}
        assert await run.tables.value("SELECT count(*) FROM baton.workflow_completions") == 200
        lost = {event.what for event in run.events.of(ConnectionLost)}
        assert lost >= ({"listen", "settle"} if notify else {"settle"})

        async def regained() -> bool:
            return lost == {event.what for event in run.events.of(ConnectionRegained)}

        await eventually(regained)
