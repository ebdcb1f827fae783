"""The reply of one commit is lost and the process lives: what that commit wrote is told as written,
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from baton import Baton, Cancel, Discard, Plugin, Snooze, Step, Worker, insert_all, worker
from baton.completion import announce, check
from baton.words.events import (
    StepCancelled,
    StepFenced,
    StepSettled,
    WorkflowCancelled,
    WorkflowFailed,
    WorkflowFinished,
)
from support.proxy import Cut, Proxy, Way, proxied
from support.running import Run, fast, opened, recorded
from support.waiting import DEADLINE

SETTLE = "baton_settle_and_claim("
COMMIT = "COMMIT;"
REQUEUE = "o.attempt_change"

hooks: list[str] = []


@dataclass
class Turn:
    """Lets a test act between the beginning of a step and its end."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


turn = Turn()


@pytest.fixture(autouse=True)
def fresh() -> None:
    global turn
    turn = Turn()
    hooks.clear()


@worker(name="ends.ends", max_attempts=2, backoff=1_000)
async def ends(step: Step, *, how: str) -> Any:
    turn.begun.set()
    await turn.go.wait()
    match how:
        case "discarded":
            return Discard("no")
        case "cancelled":
            return Cancel("no")
        case "snoozed":
            return Snooze(1_000)
        case "raised":
            raise ValueError("again")
        case _:
            return how


class Follows(Worker):
    async def perform(self, step: Step) -> None:
        return None

    async def on_dep_discarded(self, step: Step, dependency: str) -> None:
        hooks.append(dependency)


@asynccontextmanager
async def behind(dsn: str, **options: Any) -> AsyncIterator[tuple[Run, Proxy]]:
    """An engine behind a door that can lose a reply, with its events."""
    async with opened(dsn) as tables, proxied(dsn) as proxy:
        with recorded() as events:
            # Nothing but what a test does comes through the door.
            async with fast(proxy.dsn, stage_interval=300.0, **options) as engine:
                yield Run(engine, events, tables), proxy
        assert await tables.violations() == []


def lost(words: str, *, after: bool = True) -> Cut:
    return Cut(1, after, Way.LOST, words)


async def played(run: Run, proxy: Proxy, workflow: Baton, cut: Cut) -> None:
    """Run the step until it would end, and let it end while the door loses that."""
    await run.insert(workflow)
    async with asyncio.timeout(DEADLINE):
        await turn.begun.wait()
        # What is lost must be the settlement, not a look for jobs.
        await proxy.quiet(0.1)
        proxy.arm(cut)
        turn.go.set()
        await proxy.cut.wait()


@pytest.mark.parametrize("after", [True, False])
async def test_a_completed_workflow_is_told_of(dsn: str, after: bool) -> None:
    workflow = Baton().add("a", ends.new(how="well"))
    async with behind(dsn) as (run, proxy):
        await played(run, proxy, workflow, lost(SETTLE, after=after))
        (told,) = await run.events.until(WorkflowFinished)
        assert (told.workflow_id, told.outcome) == (workflow.workflow_id, "completed")
        assert run.events.endings("a") == ["StepCompleted"]
    assert len(run.events.of(WorkflowFinished)) == 1


async def test_all_that_one_commit_ended_is_told_of_once(dsn: str) -> None:
    """Several workflows, and one whose other step another process has still to end."""
    whole = [Baton().add("a", ends.new(how="well")) for _ in range(3)]
    half = Baton().add("a", ends.new(how="well")).add("b", Follows(), queue="elsewhere")
    async with behind(dsn) as (run, proxy):
        await insert_all([*whole, half], engine=run.engine)
        await run.tables.until(half, "a", "executing")
        async with asyncio.timeout(DEADLINE):
            await turn.begun.wait()
            await proxy.quiet(0.1)
            proxy.arm(lost(SETTLE))
            turn.go.set()
            await proxy.cut.wait()
        await run.events.until(WorkflowFinished, 3)
        async with fast(dsn, name="other", queues={"elsewhere": 1}):
            await run.end(half)
    ids = [event.workflow_id for event in run.events.of(WorkflowFinished)]
    assert sorted(ids) == sorted(workflow.workflow_id for workflow in [*whole, half])


async def test_an_end_that_another_process_recorded_is_its_own(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lost commit completed a step; before anybody looks again, another engine ends the
    workflow. Its commit is not the lost one.
    """
    workflow = Baton().add("a", ends.new(how="well")).add("b", Follows(), queue="elsewhere")
    async with behind(dsn, settlers=1) as (run, proxy):
        settle, seen = run.engine._parts.ledger._settle_completed, asyncio.Event()

        async def late(*args: Any) -> Any:
            if proxy.cut.is_set() and not seen.is_set():
                # The second try, after the other engine has announced.
                async with fast(dsn, name="other", queues={"elsewhere": 1}) as other:
                    await other.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
                    await run.events.until(WorkflowFinished)
                seen.set()
            return await settle(*args)

        monkeypatch.setattr(run.engine._parts.ledger, "_settle_completed", late)
        await played(run, proxy, workflow, lost(SETTLE))
        await asyncio.wait_for(seen.wait(), DEADLINE)
        await run.events.until(StepSettled, step="a")
    assert len(run.events.of(WorkflowFinished)) == 1


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize(("how", "event"), [("discarded", "StepDiscarded"), ("cancelled", "")])
async def test_a_failed_step_is_told_of_with_all_that_follows(
    dsn: str, how: str, event: str, after: bool
) -> None:
    workflow = Baton().add("a", ends.new(how=how)).add("b", Follows(), deps=["a"])
    async with behind(dsn) as (run, proxy):
        await played(run, proxy, workflow, lost(COMMIT, after=after))
        if how == "discarded":
            (failed,) = await run.events.until(WorkflowFailed)
            told = (failed.workflow_id, failed.failed_count)
        else:
            (cancelled,) = await run.events.until(WorkflowCancelled)
            told = (cancelled.workflow_id, cancelled.cancelled_count)
        assert told == (workflow.workflow_id, 2)
        assert run.events.endings("a") == [event or "StepCancelled"]
        assert len(run.events.of(StepCancelled, step="b")) == 1
        assert len(run.events.of(WorkflowFinished)) == 1
    assert hooks == (["a"] if how == "discarded" else [])


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize(
    ("how", "event"), [("raised", "StepRetryable"), ("snoozed", "StepSnoozed")]
)
async def test_an_attempt_that_is_not_the_last_is_told_of(
    dsn: str, how: str, event: str, after: bool
) -> None:
    workflow = Baton().add("a", ends.new(how=how))
    async with behind(dsn) as (run, proxy):
        await played(run, proxy, workflow, lost(REQUEUE, after=after))
        await run.events.until(StepSettled, step="a")
        assert run.events.endings("a") == [event]
        assert len((await run.tables.step(workflow, "a")).errors) == (how == "raised")
        await run.engine.workflow(workflow.workflow_id).cancel()


@pytest.mark.parametrize("how", ["raised", "snoozed"])
async def test_what_somebody_else_wrote_is_not_told_as_written(
    dsn: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The call was lost before it came to the server, and then the job was rescued."""
    workflow = Baton().add("a", ends.new(how=how))
    async with behind(dsn) as (run, proxy):
        requeue = run.engine._parts.ledger._unfinished._requeue

        async def late(*args: Any) -> Any:
            if proxy.cut.is_set():
                await run.tables.change(
                    workflow,
                    "a",
                    state="'available'",
                    queue="'elsewhere'",
                    attempt=0,
                    errors="""'[{"attempt": 1, "error": "rescued: …", "rescued": true}]'""",
                )
            return await requeue(*args)

        monkeypatch.setattr(run.engine._parts.ledger._unfinished, "_requeue", late)
        await played(run, proxy, workflow, lost(REQUEUE, after=False))
        await run.events.until(StepFenced, step="a")
        assert run.events.endings("a") == ["StepFenced"]
        await run.engine.workflow(workflow.workflow_id).cancel()


def sleeping() -> Baton:
    return Baton().add("a", Follows(), schedule_in=1_000)


@pytest.mark.parametrize("after", [True, False])
async def test_a_cancelled_workflow_is_told_of(dsn: str, after: bool) -> None:
    workflow = sleeping()
    async with behind(dsn, queues={}) as (run, proxy):
        await run.insert(workflow)
        proxy.arm(lost(COMMIT, after=after))
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 1
        assert proxy.cut.is_set()
        assert len(run.events.of(StepCancelled)) == 1
        assert len(run.events.of(WorkflowCancelled)) == len(run.events.of(WorkflowFinished)) == 1


@pytest.mark.parametrize("who", ["check", "announce", "sweep"])
async def test_whoever_else_ends_a_workflow_tells_of_it(dsn: str, who: str) -> None:
    workflow = sleeping()
    async with behind(dsn, queues={}) as (run, proxy):
        (job,) = await run.insert(workflow)
        if who == "announce":
            await run.tables.execute(
                "UPDATE baton.oban_jobs SET state = 'completed';"
                "UPDATE baton.workflow_nodes SET state = 'completed', result = '{\"value\": 1}';"
                "UPDATE baton.workflows SET outstanding = 0"
            )
        elif who == "sweep":
            await run.tables.change(workflow, "a", state="'completed'")
        proxy.arm(lost(COMMIT))
        if who == "sweep":
            await Plugin().sweep(run.engine.database, run.engine.settings)
        elif who == "check":
            assert await check(job, "completed") == "completed"
            await run.tables.change(workflow, "a", state="'completed'")
        else:
            assert await announce(workflow.workflow_id) == "completed"
        assert proxy.cut.is_set()
        assert len(run.events.of(WorkflowFinished)) == 1
