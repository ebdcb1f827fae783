"""The sweep: what ended or vanished unnoticed is settled, announced and told of, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from baton import Baton, Database, Plugin, Step, schema, worker
from baton.completion import check
from baton.errors import BatonError, InvalidOptionError
from baton.runtime import heartbeat
from baton.store.store import store_of
from baton.sweep.observe import STATES, Observer
from baton.sweep.plugin import sweep_in_turn
from baton.words.config import EngineSettings
from baton.words.events import (
    JobsRescued,
    QueueObserved,
    StepCancelled,
    StepsCancelled,
    StepsSettled,
    SweepFinished,
    WorkflowCancelled,
    WorkflowFailed,
    WorkflowFinished,
)
from support.running import Run, Tables, fast, opened, recorded, running
from support.waiting import eventually

NOW = "timezone('UTC', now())"


@worker
async def works(step: Step) -> int:
    return 1


def chain(*names: str, **options: Any) -> Baton:
    """Each step depends on the one before; the first is due in an hour."""
    workflow, deps = Baton(**options), list[str]()
    for name in names:
        workflow.add(name, works.new(), deps=deps, schedule_in=None if deps else 3600)
        deps = [name]
    return workflow


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[Run]:
    """An engine that runs nothing: only the sweep can bring a workflow to its end."""
    async with running(dsn, queues={}) as run:
        yield run


async def vanish(tables: Tables, workflow: Baton, name: str) -> int:
    job_id = (await tables.step(workflow, name)).id
    await tables.execute("DELETE FROM baton.oban_jobs WHERE id = $1", job_id)
    return job_id


async def sweep(run: Run, plugin: Plugin | None = None) -> None:
    await (plugin or Plugin()).sweep(run.engine.database)


@pytest.mark.parametrize("ignoring", [False, True])
async def test_what_waits_for_a_vanished_job_is_cancelled(client: Run, ignoring: bool) -> None:
    """No flag makes a dependency satisfied that nobody can ever settle."""
    workflow = chain("a", "b", ignore_cancelled=ignoring, ignore_discarded=ignoring)
    workflow.add("c", works.new(), deps=["b"])
    await client.insert(workflow)
    gone = await vanish(client.tables, workflow, "a")
    await sweep(client)
    b = await client.tables.step(workflow, "b")
    assert b.state == "cancelled"
    assert b.error.startswith("dependency 'a' vanished: its job was deleted before it settled;")
    if ignoring:
        # The flag counts again further down: c ignores that b was cancelled.
        assert (await client.tables.step(workflow, "c")).state == "available"
        await client.engine.workflow(workflow.workflow_id).cancel()
        return
    end = await client.end(workflow)
    assert end.failed_steps == ("a", "b", "c")
    assert client.events.of(StepsSettled) == [StepsSettled("default", (gone,))]
    (cancelled,) = client.events.of(StepsCancelled)
    assert cancelled.job_ids == (b.id, b.id + 1)
    assert [event.step for event in client.events.of(StepCancelled)] == ["b", "c"]


ENDED = {
    "completed": {"state": "'completed'", "completed_at": f"{NOW} - interval '6 s'"},
    "completed without a time": {"state": "'completed'"},
    "cancelled": {"state": "'cancelled'", "cancelled_at": NOW},
    "discarded": {"state": "'discarded'", "discarded_at": NOW},
}


@pytest.mark.parametrize("how", ENDED)
async def test_what_somebody_else_ended_is_settled(client: Run, how: str) -> None:
    workflow = chain("a", "b")
    await client.insert(workflow)
    job_id = await client.tables.change(workflow, "a", **ENDED[how])
    await sweep(client)
    state = how.split()[0]
    a, b = [await client.tables.step(workflow, name) for name in "ab"]
    assert (a.settled, a.stored) == (state, state == "completed")
    assert client.events.of(StepsSettled) == [StepsSettled("default", (job_id,))]
    if state == "completed":
        assert (b.state, b.settled, b.pending) == ("available", None, 0)
        await client.tables.change(workflow, "b", **ENDED["completed"])
        await sweep(client)
    else:
        assert (b.state, b.error) == ("cancelled", f"dependency 'a' was {state}")
    outcome = "failed" if state == "discarded" else state
    assert (await client.end(workflow)).outcome == outcome
    await sweep(client)
    assert len(client.events.of(WorkflowFinished)) == 1
    assert len(client.events.of(WorkflowFailed)) == (state == "discarded")
    assert len(client.events.of(WorkflowCancelled)) == (state == "cancelled")


async def test_a_host_has_time_to_bring_its_result(client: Run) -> None:
    workflow = chain("a", "b")
    await client.insert(workflow)
    job_id = await client.tables.change(workflow, "a", state="'completed'", completed_at=NOW)
    await sweep(client)
    assert (await client.tables.step(workflow, "a")).settled is None
    await check(job_id, "completed", result={"of": "theirs"}, engine=client.engine)
    assert (await client.tables.step(workflow, "a")).result == {"of": "theirs"}
    await client.engine.workflow(workflow.workflow_id).cancel()


async def test_what_nobody_announced_is_announced_once(client: Run) -> None:
    """Successful ones and failed ones; whether or not their end was noted."""
    workflows = [chain("a") for _ in range(4)]
    for number, workflow in enumerate(workflows):
        await client.insert(workflow)
        state = "completed" if number % 2 else "discarded"
        await client.tables.change(workflow, "a", state=f"'{state}'")
        await client.tables.execute(
            "UPDATE baton.workflow_nodes SET state = $2::text::baton.step_state,"
            " result = CASE WHEN $2 = 'completed' THEN '{\"value\": 1}'::jsonb END"
            " WHERE workflow_id = $1",
            workflow.workflow_id,
            state,
        )
        await client.tables.execute(
            "UPDATE baton.workflows SET outstanding = 0, failed = $2,"
            " finished_at = CASE WHEN $3 THEN now() - interval '1 min' END WHERE id = $1",
            workflow.workflow_id,
            1 - number % 2,
            number > 1,
        )
    plugin = Plugin()
    for _ in range(3):
        await sweep(client, plugin)
    ends = [await client.end(workflow) for workflow in workflows]
    assert [end.outcome for end in ends] == ["failed", "completed"] * 2
    assert len(client.events.of(WorkflowFinished)) == 4
    assert len(client.events.of(WorkflowFailed)) == 2
    lags = {event.workflow_id: event.announce_lag for event in client.events.of(WorkflowFinished)}
    assert [lags[workflow.workflow_id] >= 60 for workflow in workflows] == [False] * 2 + [True] * 2


async def test_a_corrupt_workflow_keeps_no_other(client: Run) -> None:
    workflows = [chain("a", "b") for _ in range(3)]
    for workflow in workflows:
        await client.insert(workflow)
        await vanish(client.tables, workflow, "a")
    corrupt = workflows[1].workflow_id
    await client.tables.execute("UPDATE baton.workflows SET outstanding = 1 WHERE id = $1", corrupt)
    await sweep(client)
    for workflow in (workflows[0], workflows[2]):
        assert (await client.end(workflow)).outcome == "cancelled"
    assert client.events.of(SweepFinished)[-1].failed == ()
    await client.tables.execute("UPDATE baton.workflows SET outstanding = 2 WHERE id = $1", corrupt)
    await sweep(client)
    assert (await client.end(workflows[1])).outcome == "cancelled"


async def test_a_sweep_is_bounded_and_the_next_goes_on(
    client: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baton.sweep.repair.STEPS", 12)
    workflows = [chain("a", "b") for _ in range(10)]
    for workflow in workflows:
        await client.insert(workflow)
        await vanish(client.tables, workflow, "a")
    plugin, ended = Plugin(), list[int]()
    for _ in range(4):
        await sweep(client, plugin)
        ended.append(await client.tables.value("SELECT count(*) FROM baton.workflow_completions"))
    assert ended == [4, 8, 10, 10]
    for workflow in workflows:
        await client.end(workflow)


async def test_what_cannot_be_observed_is_swept(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(Observer, "observe", fails)
    async with running(dsn, queues={}, plugins=[Plugin(interval=0.05)]) as run:
        workflow = chain("a", "b")
        await run.insert(workflow)
        await vanish(run.tables, workflow, "a")
        assert (await run.end(workflow)).failed_count == 2


async def test_the_engine_sweeps(dsn: str) -> None:
    workflow = chain("a", "b")
    async with opened(dsn) as tables, fast(dsn, plugins=[Plugin(interval=0.05)]) as engine:
        await workflow.insert(engine=engine)
        await vanish(tables, workflow, "a")
        assert (
            await engine.workflow(workflow.workflow_id).completion(timeout=20)
        ).failed_count == 2


async def test_the_plugin_runs_alone(dsn: str) -> None:
    """In a task group of the caller's, on a database that is open, closed or only named; it also
    rescues what a dead engine left.
    """
    lost, orphaned = chain("a", "b"), Baton().add("a", works.new())
    with recorded() as events:
        async with opened(dsn) as tables:
            async with fast(dsn, queues={}) as client:
                await lost.insert(engine=client)
                await vanish(tables, lost, "a")
                await orphaned.insert(engine=client)
            await tables.change(
                orphaned,
                "a",
                state="'executing'",
                attempt=1,
                attempted_at=f"{NOW} - interval '1 day'",
                attempted_by="'{node,9b1f1f0c-0000-4000-8000-000000000000,baton}'",
            )
            database = Database(dsn)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(Plugin(interval=0.05).run(where)) for where in (dsn, database)
                ]
                await events.until(WorkflowFinished, workflow_id=lost.workflow_id)
                # Whoever calls others dead has to have been alive for long enough.
                assert not events.of(JobsRescued)
                await tables.execute(
                    "UPDATE baton.baton_engines SET steady_since = now() - interval '1 hour'"
                )
                await events.until(JobsRescued, engine=None)
                for task in tasks:
                    task.cancel()
            assert (await tables.step(orphaned, "a")).state == "available"
            await database.close()
            await eventually(tables.unconnected)
            assert await tables.value("SELECT count(*) FROM baton.baton_engines") == 0


ENGINES = "SELECT count(*) FROM baton.baton_engines"


@pytest.mark.parametrize("reachable", [True, False])
async def test_a_task_group_of_anyio_stops_it(
    dsn: str, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    """Which cancels whatever is awaited meanwhile; nothing but that cancellation comes out."""

    async def away(*_: object) -> None:
        raise OSError("the database is away")

    if not reachable:
        monkeypatch.setattr(heartbeat, "retire_engine", away)
    async with opened(dsn) as tables:

        async def beats() -> bool:
            return bool(await tables.value(ENGINES))

        async with anyio.create_task_group() as group:
            group.start_soon(Plugin(interval=0.05).run, dsn)
            await eventually(beats)
            group.cancel_scope.cancel()
        assert await tables.value(ENGINES) == (not reachable)
        await eventually(tables.unconnected)


async def test_one_sweeps_at_a_time(dsn: str) -> None:
    """The others leave it alone; a sweep that is forced works all the same, and so does one of
    another schema.
    """
    await schema.migrate(dsn, schema="elsewhere")
    async with opened(dsn) as tables:
        one, other = Database(dsn), Database(dsn)
        elsewhere = Database(dsn, schema="elsewhere")
        await one.open()
        await other.open()
        await elsewhere.open()
        await tables.execute("BEGIN")
        await tables.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('baton.baton_sweep', 0))"
        )
        with recorded() as events:
            await sweep_in_turn(Plugin(), store_of(one), EngineSettings())
            assert not events.of(SweepFinished)
            await Plugin().sweep(other)
            assert len(events.of(SweepFinished)) == 1
            await sweep_in_turn(Plugin(), store_of(elsewhere), EngineSettings())
            assert len(events.of(SweepFinished)) == 2
            await tables.execute("ROLLBACK")
            await sweep_in_turn(Plugin(), store_of(one), EngineSettings())
            assert len(events.of(SweepFinished)) == 3
        await elsewhere.close()
        await one.close()
        await other.close()


async def test_an_empty_queue_is_told_of(dsn: str) -> None:
    async with running(dsn, queues={}) as run:
        observer = Observer()
        workflow = Baton().add("a", works.new(), queue="brief")
        await run.insert(workflow)
        for available in (1, 0):
            await observer.observe(store_of(run.engine))
            told = run.events.of(QueueObserved, queue="brief")[-1]
            assert told.depth == {**dict.fromkeys(STATES, 0), "available": available}
            await run.engine.workflow(workflow.workflow_id).cancel()


WRONG: list[dict[str, Any]] = [
    {"interval": 0},
    {"interval": "60"},
    {"prune": 1},
    {"prune_limit": 0},
    {"prune_limit": True},
    {"job_max_age": 5},
    {"job_max_age": {"executing": 5}},
    {"job_max_age": {"completed": -1}},
]


@pytest.mark.parametrize("options", WRONG)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Plugin(**options)
    assert caught.value.option == next(iter(options))


def test_an_engine_takes_plugins_only() -> None:
    wrong: Any
    for wrong in (Plugin(), [Plugin], "Plugin", 5):
        with pytest.raises(BatonError):
            fast("postgresql://x/y", plugins=wrong)
