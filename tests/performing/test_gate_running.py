"""The second gate: rows that somebody moved by hand are held, run or cancelled as the
graph says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from baton import Baton, Cancel, Discard, Step, completion, worker
from baton.store.results import DependencyRow, read_dependencies
from baton.store.store import Store
from baton.words.events import (
    StepCancelled,
    StepCompleted,
    StepDiscarded,
    StepExecuting,
    StepFenced,
    StepReleased,
    StepSettled,
    WorkflowFinished,
)
from support.running import Run, running

AVAILABLE = "'available'"


class Gate:
    """A step that waits until the test lets it go on."""

    def __init__(self, result: object = "a") -> None:
        self.open = asyncio.Event()

        @worker(name="the gate", max_attempts=1)
        async def waits(step: Step) -> object:
            await self.open.wait()
            return result

        self.job = waits.new()


@worker
async def reads(step: Step) -> dict[str, Any]:
    return await step.results()


async def move(run: Run, workflow: Baton, name: str, **columns: object) -> None:
    """Make a job available by hand, as a dashboard would."""
    await run.tables.change(workflow, name, **{"state": AVAILABLE, **columns})
    run.engine.queue("default").resume()


async def test_a_step_moved_too_early_is_held(dsn: str) -> None:
    gate = Gate()
    workflow = Baton().add("a", gate.job).add("b", reads.new(), deps=["a"])
    async with running(dsn) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting, step="a")
        for times in (1, 2, 3):
            await move(run, workflow, "b")
            await run.events.until(StepReleased, times, step="b")
            row = await run.tables.step(workflow, "b")
            assert (row.state, row.attempt, row.errors) == ("suspended", 0, [])
        gate.open.set()
        await run.end(workflow)
        row = await run.tables.step(workflow, "b")
        assert (row.state, row.attempt, row.result, row.errors) == ("completed", 1, {"a": "a"}, [])


Between = Callable[[list[DependencyRow]], Any]


def look_then(monkeypatch: pytest.MonkeyPatch, between: Between) -> None:
    """Let something happen between the gate's look at the dependencies and what it does then."""

    async def look(database: Store, job_id: int) -> list[DependencyRow]:
        rows = await read_dependencies(database, job_id)
        await between(rows)
        return rows

    monkeypatch.setattr("baton.performing.perform.read_dependencies", look)


ENDINGS = [
    ("a", "completed", False),
    (Cancel("no"), "cancelled", False),
    (Discard("no"), "discarded", False),
    (Cancel("no"), "cancelled", True),
    (Discard("no"), "discarded", True),
]


async def test_a_dependency_settles_between_the_look_and_the_hold(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(dsn) as run:
        for result, state, ignores in ENDINGS:
            gate = Gate(result)
            workflow = (
                Baton(ignore_cancelled=ignores, ignore_discarded=ignores)
                .add("a", gate.job)
                .add("b", reads.new(), deps=["a"])
                .add("c", reads.new(), deps=["b"])
            )

            async def settle(
                rows: list[DependencyRow], gate: Gate = gate, workflow: Baton = workflow
            ) -> None:
                assert [row.settled for row in rows] == [None]
                gate.open.set()
                await run.events.until(StepSettled, step="a", workflow_id=workflow.workflow_id)

            with monkeypatch.context() as patch:
                look_then(patch, settle)
                await run.insert(workflow)
                known = workflow.workflow_id
                await run.events.until(StepExecuting, step="a", workflow_id=known)
                await move(run, workflow, "b")
                ended = await run.end(workflow)
            row = await run.tables.step(workflow, "b")
            if state == "completed" or ignores:
                assert (row.state, row.attempt) == ("completed", 1)
                assert row.result == ({"a": "a"} if state == "completed" else {})
                assert ended.failed_steps == (() if state == "completed" else ("a",))
            else:
                assert (row.state, row.error) == ("cancelled", f"dependency 'a' was {state}")
                below = await run.tables.step(workflow, "c")
                assert below.error == "dependency 'b' was cancelled"
                assert ended.failed_steps == ("a", "b", "c")
                assert len(run.events.of(StepCancelled, step="c", workflow_id=known)) == 1
            assert len(run.events.of(WorkflowFinished, workflow_id=known)) == 1


async def test_a_dependency_that_another_host_completed_lets_it_run(dsn: str) -> None:
    workflow = Baton().add("a", reads.new(), schedule_in=1_000).add("b", reads.new(), deps=["a"])
    async with running(dsn) as run:
        await run.insert(workflow)
        # It has not told Baton yet.
        job = await run.tables.change(workflow, "a", state="'completed'")
        await move(run, workflow, "b")
        await run.events.until(StepCompleted, step="b")
        assert await completion.check(job, "completed", result=5) == "completed"
        assert (await run.end(workflow)).outcome == "completed"
        assert (await run.tables.step(workflow, "b")).result == {}


async def test_a_dependency_whose_job_is_gone_cancels(dsn: str) -> None:
    workflow = (
        Baton(ignore_cancelled=True, ignore_discarded=True)
        .add("a", reads.new(), schedule_in=1_000)
        .add("b", reads.new(), deps=["a"])
        .add("c", reads.new(), deps=["b"])
    )
    async with running(dsn) as run:
        await run.insert(workflow)
        job = await run.tables.change(workflow, "a", state="'completed'")
        await run.tables.execute("DELETE FROM baton.oban_jobs WHERE id = $1", job)
        await move(run, workflow, "b")
        await run.events.until(StepCancelled, step="b")
        row = await run.tables.step(workflow, "b")
        assert row.state == "cancelled"
        assert row.error.startswith(
            "dependency 'a' vanished: its job was deleted before it settled;"
        )
        await run.events.until(StepCompleted, step="c")
        # What remains is the vanished step itself.
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 0
        assert (await run.end(workflow)).failed_steps == ("a", "b")


async def test_a_completed_dependency_may_be_pruned(dsn: str) -> None:
    gate = Gate()
    workflow = (
        Baton()
        .add("a", reads.new())
        .add("b", gate.job)
        .add("c", reads.new(), deps=["a", "b"])
        .add("d", reads.new(), deps=["a", "c"])
    )
    async with running(dsn) as run:
        a, *_ = await run.insert(workflow)
        await run.events.until(StepCompleted, step="a")
        await run.events.until(StepExecuting, step="b")
        await run.tables.execute("DELETE FROM baton.oban_jobs WHERE id = $1", a.id)
        await move(run, workflow, "c")
        await run.events.until(StepReleased, step="c")
        assert (await run.tables.step(workflow, "c")).state == "suspended"
        gate.open.set()
        assert (await run.end(workflow)).outcome == "completed"
        assert (await run.tables.step(workflow, "c")).result == {"a": {}, "b": "a"}
        assert list((await run.tables.step(workflow, "d")).result) == ["a", "c"]


PERFORMED: list[str] = []


@worker(max_attempts=1)
async def once(step: Step, *, how: str) -> Any:
    PERFORMED.append(how)
    return {"completed": "kept", "cancelled": Cancel("no"), "discarded": Discard("no")}[how]


async def ends(run: Run, job_id: int) -> Any:
    return await run.tables.rows(
        "SELECT cancelled_at, discarded_at FROM baton.oban_jobs WHERE id = $1", job_id
    )


async def test_a_settled_step_is_never_performed_again(dsn: str) -> None:
    PERFORMED.clear()
    kinds = {
        "completed": StepCompleted,
        "cancelled": StepCancelled,
        "discarded": StepDiscarded,
    }
    workflow = Baton()
    for how in kinds:
        workflow.add(how, once.new(how=how))
    async with running(dsn) as run:
        ended = await run.workflow(workflow)
        for how, kind in kinds.items():
            before = await run.tables.step(workflow, how)
            ended_at = await ends(run, before.id)
            await move(run, workflow, how, max_attempts=5)
            await run.events.until(kind, 2, step=how)
            row = await run.tables.step(workflow, how)
            assert (row.state, row.settled) == (how, how)
            assert (row.stored, row.result) == (before.stored, before.result)
            if how != "completed":
                assert (row.errors, row.attempt) == (before.errors, before.attempt)
                assert row.error == "no"
                assert await ends(run, row.id) == ended_at
        assert await run.engine.workflow(workflow.workflow_id).completion() == ended
        assert (await run.tables.step(workflow, "completed")).result == "kept"
        assert len(run.events.of(WorkflowFinished)) == 1
        assert await run.tables.value("SELECT count(*) FROM baton.workflow_completions") == 1
    assert sorted(PERFORMED) == sorted(kinds)


async def test_a_running_step_that_is_started_again_counts_once(dsn: str) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    attempts: list[int] = []

    @worker
    async def twice(step: Step) -> int:
        attempts.append(step.attempt)
        mine = len(attempts)
        await gates[mine - 1].wait()
        return mine

    workflow = Baton().add("a", twice.new()).add("b", reads.new(), deps=["a"])
    async with running(dsn, queues={"default": 2}) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting, step="a")
        await move(run, workflow, "a")
        await run.events.until(StepExecuting, 2, step="a")
        gates[0].set()
        await run.events.until(StepFenced, step="a")
        assert (await run.tables.step(workflow, "a")).state == "executing"
        gates[1].set()
        await run.end(workflow)
        assert (await run.tables.step(workflow, "a")).result == 2
        # No slot was lost, and none gained.
        both = Baton().add("x", reads.new()).add("y", reads.new()).add("z", reads.new())
        await run.completed(both)
    assert attempts == [1, 2]
