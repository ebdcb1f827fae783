"""Pruning: by whole finished and announced workflow, in bounded portions, never what is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from baton import Baton, Database, Plugin, Step, insert_all, send_event, worker
from baton.errors import UnknownWorkflowError
from baton.store.pruning import Prunable, find_prunable
from baton.sweep import prune
from baton.words.events import (
    RowsPruned,
    StepExecuting,
    StepsCancelled,
    SweepFinished,
    WorkflowFinished,
)
from support.race import race
from support.running import Run, opened, running

OLD = "timezone('UTC', now()) - interval '1 hour'"
TABLES = ("workflows", "workflow_nodes", "workflow_completions", "oban_jobs")


@worker
async def works(step: Step) -> int:
    return 1


@worker
async def adds(step: Step) -> int:
    return sum((await step.results()).values())


def pair() -> Baton:
    return Baton().add("a", works.new()).add("b", adds.new(), deps=["a"])


@pytest.fixture
async def run(dsn: str) -> AsyncIterator[Run]:
    async with running(dsn) as made:
        yield made


async def finished(run: Run, count: int) -> list[Baton]:
    workflows = [pair() for _ in range(count)]
    await insert_all(workflows, engine=run.engine)
    for workflow in workflows:
        await run.end(workflow)
    return workflows


async def rows(run: Run) -> tuple[int, ...]:
    """How many rows there are in each table."""
    counts = [await run.tables.value(f"SELECT count(*) FROM baton.{table}") for table in TABLES]
    return tuple(counts)


async def sweep(run: Run, plugin: Plugin) -> None:
    await plugin.sweep(run.engine.database)


async def delete_jobs(run: Run) -> None:
    await run.tables.execute("DELETE FROM baton.oban_jobs WHERE state = 'completed'")


async def test_rows_go_when_the_jobs_have_gone(run: Run) -> None:
    first, second = await finished(run, 2)
    plugin = Plugin(prune=True)
    await sweep(run, plugin)
    assert await rows(run) == (2, 4, 2, 4)
    assert not run.events.of(RowsPruned)
    job_id = (await run.tables.step(first, "a")).id
    await run.tables.execute(
        "DELETE FROM baton.oban_jobs WHERE state = 'completed' AND id <> $1", job_id
    )
    await sweep(run, plugin)
    # A workflow goes whole or not at all.
    assert await rows(run) == (1, 2, 1, 1)
    (event,) = run.events.of(RowsPruned)
    assert event.count == 6
    assert event.tables == {
        "workflow_nodes": 2,
        "workflows": 1,
        "workflow_completions": 1,
        "workflow_deleted_jobs": 2,
    }
    assert (await run.engine.workflow(first.workflow_id).completion()).outcome == "completed"
    with pytest.raises(UnknownWorkflowError):
        await run.engine.workflow(second.workflow_id).completion()
    await delete_jobs(run)
    await sweep(run, Plugin())
    assert (await rows(run))[:3] == (1, 2, 1)
    await sweep(run, plugin)
    assert await rows(run) == (0, 0, 0, 0)


async def test_at_most_the_limit_of_each_table_in_a_sweep(run: Run) -> None:
    await finished(run, 9)
    wide = Baton()
    for number in range(25):
        wide.add(str(number), works.new())
    await run.workflow(wide)
    await delete_jobs(run)
    plugin, left = Plugin(prune=True, prune_limit=5), [(await rows(run))[:3]]
    while left[-1] != (0, 0, 0):
        await sweep(run, plugin)
        left.append((await rows(run))[:3])
        gone = [before - after for before, after in zip(left[-2], left[-1], strict=True)]
        assert max(gone) <= 5
        assert len(left) < 20


@pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
async def test_jobs_go_by_the_age_of_their_state(run: Run, state: str) -> None:
    old, young, other = await finished(run, 3)
    for workflow, at in ((old, OLD), (young, "timezone('UTC', now())"), (other, OLD)):
        another = "discarded" if state == "completed" else "completed"
        chosen = another if workflow is other else state
        columns = {"state": f"'{chosen}'", f"{chosen}_at": at}
        for name in workflow.step_names:
            await run.tables.change(workflow, name, **columns)
    plugin = Plugin(job_max_age={state: 600})
    await sweep(run, plugin)
    assert await rows(run) == (3, 6, 3, 4)
    assert not await run.tables.states(old)
    assert [event.tables for event in run.events.of(RowsPruned)] == [{"oban_jobs": 2}]
    await run.tables.execute("DELETE FROM baton.oban_jobs")


async def test_debug_logs_go_by_their_age(run: Run) -> None:
    """Whatever their jobs do; and with their workflow."""

    @worker
    async def captures(step: Step) -> None:
        await step.capture("context", {"of": step.name})
        await step.record_usage(model="house-llm", input_tokens=1, output_tokens=1)

    old, young = (Baton(debug=True).add("a", captures.new()) for _ in range(2))
    unfinished = Baton(debug=True).add("a", captures.new())
    unfinished.add("b", works.new(), deps=["a"], schedule_in=3600)
    for workflow in (old, young):
        await run.workflow(workflow)
    await run.insert(unfinished)
    await run.tables.until(unfinished, "a", "completed")
    await run.tables.execute(
        "UPDATE baton.workflow_debug_logs SET recorded_at = now() - interval '2 hours'"
        " WHERE workflow_id <> $1",
        young.workflow_id,
    )
    await sweep(run, Plugin(debug_log_max_age=timedelta(hours=1)))
    left = "SELECT count(*) FROM baton.workflow_debug_logs"
    assert await run.tables.value(left) == 1
    assert [event.tables for event in run.events.of(RowsPruned)] == [{"workflow_debug_logs": 2}]
    await run.engine.workflow(unfinished.workflow_id).cancel()
    await run.tables.execute("DELETE FROM baton.oban_jobs")
    await sweep(run, Plugin(prune=True))
    assert await rows(run) == (0, 0, 0, 0)
    assert await run.tables.value(left) == 0
    assert await run.tables.value("SELECT count(*) FROM baton.workflow_step_stats") == 0


async def test_workflows_whose_jobs_are_kept_hide_no_other(run: Run) -> None:
    workflows = sorted(await finished(run, 12), key=lambda w: w.workflow_id)
    plugin = Plugin(prune=True, prune_limit=3)
    for left, workflow in ((11, workflows[-1]), (10, workflows[0])):
        for name in workflow.step_names:
            job_id = (await run.tables.step(workflow, name)).id
            await run.tables.execute("DELETE FROM baton.oban_jobs WHERE id = $1", job_id)
        for _ in range(7):
            await sweep(run, plugin)
        assert (await rows(run))[0] == left


async def test_no_job_of_an_unfinished_workflow_goes(run: Run) -> None:
    """Not even where there are more of them than a sweep looks at: the others get their turn."""
    go = asyncio.Event()

    @worker
    async def waits(step: Step) -> None:
        await go.wait()

    unfinished = Baton().add("tail", waits.new())
    for number in range(30):
        unfinished.add(str(number), works.new())
    await run.insert(unfinished)
    for number in range(30):
        await run.tables.until(unfinished, str(number), "completed")
    done = await finished(run, 5)
    await run.tables.execute(
        f"UPDATE baton.oban_jobs SET completed_at = {OLD} WHERE state = 'completed'"
    )
    plugin = Plugin(job_max_age={"completed": 60}, prune=True, prune_limit=10)
    for _ in range(5):
        await sweep(run, plugin)
    assert (await rows(run))[3] == 31
    for workflow in done:
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(workflow.workflow_id).completion()
    go.set()
    await run.end(unfinished)
    await run.tables.execute(f"UPDATE baton.oban_jobs SET completed_at = {OLD}")
    for _ in range(12):
        await sweep(run, plugin)
    assert await rows(run) == (0, 0, 0, 0)


async def test_a_workflow_somebody_works_on_is_passed_by(run: Run, dsn: str) -> None:
    held, _ = await finished(run, 2)
    await delete_jobs(run)
    plugin = Plugin(prune=True)
    async with race(dsn) as lock:
        await lock.winner.execute(
            "SELECT FROM baton.workflows WHERE id = $1 FOR KEY SHARE", held.workflow_id
        )
        await sweep(run, plugin)
        assert (await rows(run))[:3] == (1, 2, 1)
        await lock.rollback()
    await sweep(run, plugin)
    assert (await rows(run))[:3] == (0, 0, 0)


async def test_a_locked_node_keeps_no_other_workflow_for_long(run: Run, dsn: str) -> None:
    """The sweep that stumbles over it passes it by."""
    wide = []
    for _ in range(3):
        wide.append(Baton())
        for number in range(600):
            wide[-1].add(str(number), works.new())
    await insert_all(wide, engine=run.engine)
    for workflow in wide:
        await run.end(workflow)
    await delete_jobs(run)
    first = min(workflow.workflow_id for workflow in wide)
    plugin, database = Plugin(prune=True), Database(dsn, lock_timeout=0.05)
    await database.open()
    async with race(dsn) as lock:
        await lock.winner.execute(
            "SELECT FROM baton.workflow_nodes WHERE workflow_id = $1 FOR UPDATE", first
        )
        await plugin.sweep(database)
        assert (await rows(run))[:3] == (1, 600, 1)
        assert [event.failed for event in run.events.of(SweepFinished)] == [()]
        await lock.rollback()
        await plugin.sweep(database)
    await database.close()
    assert await rows(run) == (0, 0, 0, 0)


async def test_a_workflow_that_came_back_under_its_id_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between this sweeper's look and its deletion another one prunes it, and its owner inserts it
    again, and it ends.
    """
    (workflow,) = await finished(run, 1)
    await delete_jobs(run)
    look = find_prunable

    async def late(*args: Any) -> Prunable:
        found = await look(*args)
        monkeypatch.setattr(prune, "find_prunable", look)
        await sweep(run, Plugin(prune=True))
        assert await rows(run) == (0, 0, 0, 0)
        await run.insert(Baton(workflow.workflow_id).add("a", works.new()))
        await run.events.until(WorkflowFinished, 2, workflow_id=workflow.workflow_id)
        return found

    monkeypatch.setattr(prune, "find_prunable", late)
    await sweep(run, Plugin(prune=True))
    assert await rows(run) == (1, 1, 1, 1)


@pytest.mark.parametrize("limit", [10_000, 7])
async def test_a_job_that_somebody_refers_to_keeps_no_other(run: Run, limit: int) -> None:
    await finished(run, 20)
    await run.tables.execute(
        "CREATE TABLE public.theirs (job bigint REFERENCES baton.oban_jobs (id))"
    )
    kept = "SELECT id FROM baton.oban_jobs ORDER BY id LIMIT 1"
    await run.tables.execute(
        f"INSERT INTO public.theirs ({kept}) UNION (SELECT max(id) - 9 FROM baton.oban_jobs)"
    )
    await run.tables.execute(
        f"UPDATE baton.oban_jobs SET completed_at = {OLD} - interval '1 s' * (id % 3)"
    )
    plugin = Plugin(job_max_age={"completed": 60, "discarded": 60}, prune_limit=limit)
    for _ in range(1 if limit > 20 else 60):
        await sweep(run, plugin)
        assert run.events.of(SweepFinished)[-1].failed == ()
    assert (await rows(run))[3] == 2
    await run.tables.execute("DELETE FROM public.theirs")
    for _ in range(2):
        await sweep(run, plugin)
    assert (await rows(run))[3] == 0


async def test_another_runtimes_pruner_loses_nothing(dsn: str) -> None:
    """It deletes every completed job at once, in a loop, while workflows run; and then some that
    have not ended.
    """
    stop, gate = asyncio.Event(), asyncio.Event()

    @worker(max_attempts=1)
    async def slow(step: Step) -> int:
        await gate.wait()
        return await step.result("c", int)

    def workflow() -> Baton:
        return (
            Baton()
            .add("a", works.new())
            .add("b", works.new())
            .add("c", adds.new(), deps=["a", "b"])
            .add("tail", slow.new(), deps=["c"])
        )

    workflows = [workflow() for _ in range(40)]
    doomed = [workflow().add("late", works.new(), schedule_in=3600) for _ in range(5)]
    for lost in doomed:
        lost.add("after", works.new(), deps=["late", "tail"])
    plugins = [Plugin(interval=0.02, prune=True)]
    async with running(dsn, queues={"default": 100}, plugins=plugins) as run:

        async def prune() -> None:
            async with opened(dsn) as theirs:
                while not stop.is_set():
                    await theirs.execute("DELETE FROM baton.oban_jobs WHERE state = 'completed'")

        pruner = asyncio.create_task(prune())
        await insert_all([*workflows, *doomed], engine=run.engine)
        ends = [
            asyncio.create_task(run.engine.workflow(w.workflow_id).completion(timeout=20))
            for w in [*workflows, *doomed]
        ]
        await run.events.until(StepExecuting, len(workflows) + len(doomed), step="tail")
        await run.tables.execute("DELETE FROM baton.oban_jobs WHERE state = 'scheduled'")
        gate.set()
        found = await asyncio.gather(*ends)
        stop.set()
        await pruner
    assert [end.outcome for end in found] == ["completed"] * 40 + ["cancelled"] * 5
    assert {end.failed_steps for end in found[40:]} == {("late", "after")}
    assert sum(len(event.job_ids) for event in run.events.of(StepsCancelled)) == 5


WAIT_TABLES = (
    "workflow_wait_groups",
    "workflow_wait_members",
    "workflow_memos",
    "workflow_events",
)


async def test_waits_go_with_their_workflow(run: Run) -> None:
    @worker
    async def waits(step: Step) -> int:
        first = await step.memo("first", counted)
        for _ in range(4):
            await step.wait_any("x", "y", timeout=60)
        return int(first)

    async def counted() -> int:
        return 1

    workflow = Baton().add("a", waits.new()).wait("gate", all_of=["p", "q"], deps=["a"])
    await run.insert(workflow)
    for name in ("x", "x", "x", "y", "y", "p", "q"):
        await send_event(workflow.workflow_id, name, engine=run.engine)
    await run.end(workflow)
    counts = [f"SELECT count(*) FROM baton.{table}" for table in WAIT_TABLES]
    assert [await run.tables.value(count) for count in counts] == [5, 10, 1, 7]
    await run.tables.execute("DELETE FROM baton.oban_jobs")
    plugin = Plugin(prune=True, prune_limit=3)
    for _ in range(10):
        await sweep(run, plugin)
    for event in run.events.of(RowsPruned):
        assert max(event.tables.values()) <= 3
    assert [await run.tables.value(count) for count in counts] == [0, 0, 0, 0]
    assert await rows(run) == (0, 0, 0, 0)
