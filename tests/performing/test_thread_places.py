"""Steps that wait for a free thread or process do not work yet: they neither time out nor fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import ContextVar

import anyio.from_thread
import pytest

from baton import Baton, SyncStep, worker
from baton.performing import calls
from baton.runtime import executor as engine_executor
from baton.words.events import StepCompleted, StepExecuting, StepSnoozed
from baton.workers.args import NewJob
from baton.workers.class_worker import job_of
from support.apart import Napping, nap
from support.running import Run, running


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[Executor | None]:
    if request.param == "threads":
        yield None
        return
    with ThreadPoolExecutor(1) as made:
        yield made


POOLS = ["threads", "threads of one's own"]


async def no_time_out(dsn: str, job: NewJob, warm: NewJob) -> None:
    """Six jobs of half a second, in one place, that may take two seconds each."""
    workflow = Baton()
    for number in range(6):
        workflow.add(str(number), job, timeout=2.0)
    async with running(dsn, threads=1) as run:
        # A process takes a second to begin.
        await run.completed(Baton().add("a", warm))
        await run.completed(workflow)
        told = run.events.of(StepCompleted, workflow_id=workflow.workflow_id)
        # Nor does it count as a part of the attempt.
        assert max(event.duration for event in told) < 2.0


@pytest.mark.parametrize("pool", POOLS, indirect=True)
async def test_what_waits_for_a_thread_does_not_time_out(dsn: str, pool: Executor | None) -> None:
    naps = worker(name="places.nap", executor=pool, max_attempts=1)(nap)
    await no_time_out(dsn, naps.new(seconds=0.5), naps.new(seconds=0.0))


async def test_what_waits_for_a_process_does_not_time_out(dsn: str) -> None:
    await no_time_out(dsn, job_of(Napping(seconds=0.5)), job_of(Napping(seconds=0.0)))
    executor = Napping.__baton_options__["executor"]()
    executor.shutdown()


def held(count: int, leave: threading.Event) -> Baton:
    """A workflow whose steps time out and keep their threads."""

    # Long enough for its thread to begin: what times out before holds none.
    @worker(name="places.hangs", max_attempts=1, timeout=1.0)
    def hangs(step: SyncStep) -> None:
        leave.wait(30)

    workflow = Baton()
    for number in range(count):
        workflow.add(str(number), hangs.new())
    return workflow


async def gone_back(run: Run, workflow: Baton) -> None:
    await run.events.until(StepSnoozed, len(workflow.step_names), workflow_id=workflow.workflow_id)
    for name in workflow.step_names:
        row = await run.tables.step(workflow, name)
        assert (row.attempt <= 1, row.errors) == (True, [])


@pytest.mark.parametrize("when", ["before", "while they wait"])
async def test_steps_go_back_when_every_thread_is_held(
    dsn: str, when: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(calls, "HOPELESS_PATIENCE", 0.2)
    monkeypatch.setattr(engine_executor, "FAULT_DELAY", 0.2)
    leave = threading.Event()

    @worker(name="places.trivial", max_attempts=1, timeout=0.5)
    def trivial(step: SyncStep) -> int:
        return step.attempt

    workflow = Baton()
    for number in range(5):
        workflow.add(str(number), trivial.new())
    hung = held(2, leave)
    try:
        async with running(dsn, threads=2) as run:
            await run.insert(hung)
            await run.events.until(StepExecuting, 2)
            if when == "before":
                assert (await run.end(hung)).failed_count == 2
            await run.insert(workflow)
            await gone_back(run, workflow)
            leave.set()
            await run.end(workflow)
            assert set((await run.tables.states(workflow)).values()) == {"completed"}
            for name in workflow.step_names:
                assert (await run.tables.step(workflow, name)).result == 1
    finally:
        leave.set()
    said = [record.getMessage() for record in caplog.records]
    assert any(
        "no thread was free for 0.2 s: 2 of 2 threads held by steps that timed out" in line
        for line in said
    ), said


async def test_a_healthy_queue_for_threads_goes_back_after_a_while(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 0.2)
    monkeypatch.setattr(engine_executor, "FAULT_DELAY", 0.2)
    leave = threading.Event()

    @worker(name="places.long", max_attempts=1)
    def long(step: SyncStep) -> int:
        leave.wait(30)
        return step.attempt

    workflow = Baton().add("a", long.new()).add("b", long.new())
    try:
        async with running(dsn, threads=1) as run:
            await run.insert(workflow)
            await run.events.until(StepSnoozed)
            leave.set()
            await run.end(workflow)
            for name in "ab":
                row = await run.tables.step(workflow, name)
                assert (row.result, row.errors) == (1, [])
    finally:
        leave.set()


async def test_a_pool_that_others_fill_is_waited_for(dsn: str) -> None:
    leave = threading.Event()
    with ThreadPoolExecutor(1) as shared:

        @worker(name="places.shared", executor=shared, max_attempts=1, timeout=0.5)
        def brief(step: SyncStep) -> None:
            return None

        shared.submit(leave.wait, 30)
        workflow = Baton().add("a", brief.new())
        try:
            async with running(dsn) as run:
                await run.insert(workflow)
                (begun,) = await run.events.until(StepExecuting)
                threading.Timer(1.0, leave.set).start()
                assert (await run.end(workflow)).outcome == "completed"
                assert begun.step == "a"
        finally:
            leave.set()


async def test_a_step_that_waits_for_a_thread_is_released_at_a_stop(dsn: str) -> None:
    leave = threading.Event()
    hung = held(1, leave)

    @worker(name="places.waits", max_attempts=1)
    def waits(step: SyncStep) -> None:
        raise AssertionError("it has no thread")

    workflow = Baton().add("a", waits.new())
    try:
        async with running(dsn, threads=1, shutdown_grace=0.1) as run:
            await run.workflow(hung)
            await run.insert(workflow)
            await run.events.until(StepExecuting, workflow_id=workflow.workflow_id)
            await run.engine.stop()
            row = await run.tables.step(workflow, "a")
            assert (row.state, row.attempt, row.errors) == ("available", 0, [])
    finally:
        leave.set()


request_id: ContextVar[str] = ContextVar("request_id", default="none")


@pytest.mark.parametrize("pool", POOLS, indirect=True)
async def test_context_variables_reach_a_thread(dsn: str, pool: Executor | None) -> None:
    @worker(name="places.context", executor=pool, max_attempts=1)
    def look(step: SyncStep) -> str:
        seen = request_id.get()
        # What one step sets there, no other sees.
        request_id.set("another step's")
        return seen

    workflow = Baton().add("a", look.new()).add("b", look.new(), deps=["a"])
    request_id.set("the engine's")
    async with running(dsn) as run:
        await run.completed(workflow)
        for name in "ab":
            assert (await run.tables.step(workflow, name)).result == "the engine's"


async def test_a_step_in_a_thread_may_call_back_into_the_loop(dsn: str) -> None:
    inner = Baton().add("a", worker(name="places.inner", max_attempts=1)(nap).new(seconds=0.0))

    @worker(name="places.inserts", max_attempts=1)
    def inserts(step: SyncStep) -> bool:
        anyio.from_thread.check_cancelled()
        anyio.from_thread.run(inner.insert)
        return threading.current_thread().daemon

    workflow = Baton().add("a", inserts.new())
    async with running(dsn) as run:
        await run.completed(workflow)
        await run.end(inner)
        assert (await run.tables.step(workflow, "a")).result is True
