"""Waiting for the end of a workflow: any number of waiters, before and after, promptly
or by polling.
"""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from baton import Baton, Discard, Engine, JobState, Step, WorkflowOutcome, insert_all, worker
from baton.errors import (
    CompletionTimeoutError,
    EngineStateError,
    InvalidArgumentError,
    InvalidOptionError,
    UnavailableError,
    UnknownWorkflowError,
)
from baton.settling import completion_waiters
from baton.store.completions import read_unsettled_steps
from baton.store.store import store_of
from baton.words.events import WorkflowFailed, WorkflowFinished, WorkflowInserted
from baton.words.rows import UnsettledStep
from support.running import fast, recorded, running


@worker
async def works(step: Step) -> None:
    return None


@worker
async def fails(step: Step) -> Discard:
    return Discard()


async def test_what_a_completion_tells(dsn: str) -> None:
    workflow = (
        Baton(workflow_name="label")
        .add("z", works.new())
        .add("fails", fails.new(), deps=["z"])
        .add("after", works.new(), deps=["fails"])
        .add("before", works.new())
    )
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        row = await run.tables.value(
            "SELECT row_to_json(c)::text FROM baton.workflow_completions c"
        )
    assert completion.workflow_id == workflow.workflow_id
    assert completion.workflow_name == "label"
    assert completion.outcome is WorkflowOutcome.FAILED
    assert completion.failed_steps == ("fails", "after")
    assert (completion.failed_count, completion.total_count) == (2, 4)
    assert completion.inserted_at.tzinfo is UTC
    assert completion.finished_at.tzinfo is UTC
    now = datetime.now(UTC)
    assert timedelta(0) < completion.duration < timedelta(seconds=20)
    assert completion.inserted_at < completion.finished_at
    # The server's zone is 5:45 away: a naive time would show.
    assert abs(now - completion.finished_at) < timedelta(minutes=30)
    assert str(workflow.workflow_id) in row


async def test_the_events_of_an_end_come_once(dsn: str) -> None:
    good, bad = Baton().add("a", works.new()), Baton(workflow_name="bad").add("a", fails.new())
    async with running(dsn) as run:
        await insert_all([good, bad])
        ends = [await run.end(good), await run.end(bad), await run.end(bad)]
        assert len(run.events.of(WorkflowInserted)) == 2
        finished = {event.workflow_id: event for event in run.events.of(WorkflowFinished)}
        assert len(run.events.of(WorkflowFinished)) == len(finished) == 2
        for end in ends:
            event = finished[end.workflow_id]
            assert (event.outcome, event.failed_steps) == (end.outcome, end.failed_steps)
            assert (event.failed_count, event.total_count) == (end.failed_count, end.total_count)
            assert event.duration == end.duration.total_seconds()
        (failed,) = run.events.of(WorkflowFailed)
        assert (failed.workflow_id, failed.workflow_name) == (bad.workflow_id, "bad")
        assert (failed.failed_count, failed.total_count) == (1, 1)
        order = [
            type(e) for e in run.events.all if isinstance(e, WorkflowFinished | WorkflowFailed)
        ]
        assert order.index(WorkflowFailed) > 0


class Counting:
    """Counts the queries of an engine, by name."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queries: Counter[str] = Counter()
        fetch = store_of(engine).fetch

        async def counted(query: str, *args: object) -> list[Any]:
            self.queries[query] += 1
            return await fetch(query, *args)

        monkeypatch.setattr(store_of(engine), "fetch", counted)


async def test_five_hundred_waiters_cost_a_few_queries(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()

    @worker
    async def waits(step: Step) -> None:
        await go.wait()

    workflows = [Baton().add("a", waits.new()) for _ in range(100)]
    async with (
        running(dsn, queues={"default": 100}, poll_interval=0.1) as run,
        fast(dsn, queues={}, name="client") as client,
    ):
        await insert_all(workflows, engine=run.engine)
        counting = Counting(client, monkeypatch)
        waiters = [
            asyncio.create_task(client.workflow(workflow.workflow_id).completion(timeout=20))
            for workflow in workflows
            for _ in range(5)
        ]
        impatient = [
            asyncio.create_task(client.workflow(workflow.workflow_id).completion(timeout=0.2))
            for workflow in workflows
        ]
        await asyncio.wait(impatient)
        assert all(isinstance(task.exception(), CompletionTimeoutError) for task in impatient)
        go.set()
        ends = await asyncio.gather(*waiters)
    assert Counter(end.workflow_id for end in ends) == {w.workflow_id: 5 for w in workflows}
    assert "find_missing_workflows" not in counting.queries
    assert counting.queries["read_completions"] < 60


@pytest.mark.parametrize("notify", [True, False])
async def test_a_client_waits_before_and_after_the_end(dsn: str, notify: bool) -> None:
    go = asyncio.Event()

    @worker(name="before_and_after_the_end")
    async def waits(step: Step) -> None:
        await go.wait()

    workflow = Baton().add("a", waits.new()).add("b", works.new(), deps=["a"])
    poll = 300.0 if notify else 0.02
    async with running(dsn, notify=notify, poll_interval=poll) as run:
        async with fast(dsn, queues={}, name="client", notify=notify, poll_interval=poll) as client:
            await workflow.insert(engine=client)
            before = asyncio.create_task(
                client.workflow(workflow.workflow_id).completion(timeout=20)
            )
            with pytest.raises(CompletionTimeoutError) as late:
                await client.workflow(workflow.workflow_id).completion(timeout=0.05)
            assert (late.value.workflow_id, late.value.timeout) == (workflow.workflow_id, 0.05)
            with pytest.raises(TimeoutError):
                await client.workflow(workflow.workflow_id).completion(timeout=0)
            go.set()
            end = await before
            # However short the time, the table is looked at.
            assert await client.workflow(str(workflow.workflow_id)).completion(timeout=0) == end
            assert await client.workflow(workflow.workflow_id).completion() == end
        assert await run.end(workflow) == end


async def test_waiters_that_give_up_leave_the_others_alone(dsn: str) -> None:
    go = asyncio.Event()

    @worker
    async def waits(step: Step) -> None:
        await go.wait()

    workflow = Baton().add("a", waits.new())
    async with running(dsn) as run:
        await run.insert(workflow)
        waiters = [
            asyncio.create_task(run.engine.workflow(workflow.workflow_id).completion())
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        waiters[1].cancel()
        with pytest.raises(CompletionTimeoutError):
            await run.engine.workflow(workflow.workflow_id).completion(timeout=0.01)
        go.set()
        assert (await waiters[0]) == (await waiters[2])
        assert waiters[1].cancelled()


async def test_wrong_questions(dsn: str) -> None:
    unknown = uuid4()
    async with running(dsn) as run:
        for given in (unknown, str(unknown)):
            with pytest.raises(UnknownWorkflowError) as caught:
                await run.engine.workflow(given).completion()
            assert caught.value.workflow_id == unknown
        bad: list[Any] = ["nonsense", 5, None, b"x"]
        for given in bad:
            with pytest.raises(InvalidArgumentError, match="workflow_id"):
                await run.engine.workflow(given).completion()
        worse: list[Any] = [-1, float("nan"), "5"]
        for timeout in worse:
            with pytest.raises(InvalidOptionError, match="timeout"):
                await run.engine.workflow(UUID(int=0)).completion(timeout=timeout)


async def test_who_waits_while_the_engine_stops_is_told(dsn: str) -> None:
    workflow = Baton().add("a", works.new(), schedule_in=1_000)
    async with running(dsn) as run:
        await run.insert(workflow)
        waiter = asyncio.create_task(run.engine.workflow(workflow.workflow_id).completion())
        with pytest.raises(CompletionTimeoutError):
            await run.engine.workflow(workflow.workflow_id).completion(timeout=0)
        await run.engine.stop()
        with pytest.raises(EngineStateError):
            await waiter
        with pytest.raises(EngineStateError):
            await run.engine.workflow(workflow.workflow_id).completion()


async def test_two_engines_finish_each_workflow_once(dsn: str) -> None:
    workflows = [
        Baton().add("a", works.new()).add("b", works.new()).add("c", works.new(), deps=["a", "b"])
        for _ in range(60)
    ]
    with recorded() as events:
        async with (
            running(dsn, queues={"default": 3}) as run,
            fast(dsn, queues={"default": 3}, name="other"),
        ):
            await insert_all(workflows, engine=run.engine)
            for workflow in workflows:
                assert (await run.end(workflow)).outcome == "completed"
            await events.until(WorkflowFinished, len(workflows))
    finished = Counter(event.workflow_id for event in events.of(WorkflowFinished))
    assert set(finished.values()) == {1}
    assert len(finished) == len(workflows)


async def late(engine: Engine, workflow: Baton) -> CompletionTimeoutError:
    with pytest.raises(CompletionTimeoutError) as caught:
        await engine.workflow(workflow.workflow_id).completion(timeout=0)
    return caught.value


async def test_who_gave_up_is_told_what_the_workflow_waits_for(dsn: str) -> None:
    workflow = (
        Baton()
        .add("a", works.new())
        .add("b", works.new(), queue="io", deps=["a"])
        .add("c", works.new(), deps=["b"])
    )
    async with running(dsn) as run, fast(dsn, queues={}, name="client") as client:
        await run.insert(workflow)
        await run.tables.until(workflow, "b", "available")
        error = await late(run.engine, workflow)
        assert (error.unsettled, error.queues) == (2, ("default",))
        assert error.steps == (
            UnsettledStep("b", JobState.AVAILABLE, "io", served=False),
            UnsettledStep("c", JobState.SUSPENDED, "default"),
        )
        assert error.message.endswith(
            "it goes on; 2 steps have not settled: step 'b' is available in queue 'io', which this "
            "engine does not serve (its queues: default) and no other live engine does; step 'c' "
            "is suspended in queue 'default'"
        )
        assert pickle.loads(pickle.dumps(error)).steps == error.steps
        assert "(its queues: none)" in str(await late(client, workflow))
        async with fast(dsn, queues={"io": 1}, name="io"):
            await run.end(workflow)


async def test_a_wait_step_is_named_as_one(dsn: str) -> None:
    workflow = Baton().wait("g", any_of=["x"])
    async with running(dsn) as run:
        await run.insert(workflow)
        assert "step 'g' is a wait step, suspended (waiting_steps and" in str(
            await late(run.engine, workflow)
        )
        await run.engine.workflow(workflow.workflow_id).cancel()


async def test_of_many_steps_those_of_other_queues_are_told_first(dsn: str) -> None:
    workflow = Baton()
    for number in range(20):
        workflow.add(f"{number}", works.new(), schedule_in=1_000)
    workflow.add("last", works.new(), queue="io")
    async with running(dsn) as run:
        await run.insert(workflow)
        error = await late(run.engine, workflow)
        assert error.unsettled == 21
        assert [step.name for step in error.steps] == ["last", "0", "1", "2", "3"]
        assert str(error).endswith("step '3' is scheduled in queue 'default'; …")
        await run.tables.execute("DELETE FROM baton.oban_jobs")
        assert "step '0' has lost its job" in str(await late(run.engine, workflow))


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_reason_that_cannot_be_had_is_left_out(
    dsn: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def unanswered(*_: object) -> Any:
        if how == "fails":
            raise UnavailableError("gone")
        await asyncio.Event().wait()

    monkeypatch.setattr(completion_waiters, "read_unsettled_steps", unanswered)
    monkeypatch.setattr(completion_waiters, "WHY_SECONDS", 0.05)
    workflow = Baton().add("a", works.new(), queue="io")
    async with running(dsn) as run:
        await run.insert(workflow)
        error = await late(run.engine, workflow)
    assert error.message == (
        f"workflow {workflow.workflow_id} did not finish within 0 s; it goes on"
    )
    assert (error.unsettled, error.steps) == (None, ())


async def test_an_end_that_comes_with_the_reason_counts(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = Baton().add("a", works.new(), schedule_in=1_000)
    async with running(dsn) as run:
        await run.insert(workflow)

        async def ends_meanwhile(*args: Any) -> Any:
            await run.engine.workflow(workflow.workflow_id).cancel()
            return await read_unsettled_steps(*args)

        monkeypatch.setattr(completion_waiters, "read_unsettled_steps", ends_meanwhile)
        completion = await run.engine.workflow(workflow.workflow_id).completion(timeout=0)
    assert completion.outcome is WorkflowOutcome.CANCELLED
