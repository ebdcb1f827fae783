"""Plain `def perform`: in threads of Baton's own, or in an executor that the worker names."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from baton import Baton, Snooze, Step, SyncStep, Worker, worker
from baton.words.events import StepExecuting
from baton.workers.registry import held_spec
from support.apart import Apart, TwoFactsError, apart, misbehave
from support.running import Run, running


@worker
async def one(step: Step) -> int:
    return 1


class Exploding(ThreadPoolExecutor):
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        raise AssertionError("the loop's default executor belongs to the application")


@worker
def thread(step: SyncStep) -> list[Any]:
    main = threading.current_thread() is threading.main_thread()
    return [main, step.result("a", int), step.attempt]


async def test_the_default_executor_of_the_loop_is_left_alone(dsn: str) -> None:
    asyncio.get_running_loop().set_default_executor(Exploding(1))
    workflow = Baton().add("a", one.new()).add("b", thread.new(), deps=["a"])
    async with running(dsn) as run:
        await run.completed(workflow)
        assert (await run.tables.step(workflow, "b")).result == [False, 1, 1]


async def test_as_many_threads_as_allowed(dsn: str) -> None:
    barrier = threading.Barrier(6)

    @worker(max_attempts=1)
    def meet(step: SyncStep) -> None:
        barrier.wait(timeout=10)

    workflow = Baton()
    for number in range(6):
        workflow.add(str(number), meet.new())
    async with running(dsn, threads=6) as run:
        await run.completed(workflow)


async def test_no_more_threads_than_allowed(dsn: str) -> None:
    lock, now, most = threading.Lock(), 0, 0

    @worker(max_attempts=1)
    def busy(step: SyncStep) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1

    workflow = Baton()
    for number in range(12):
        workflow.add(str(number), busy.new())
    async with running(dsn, threads=2, queues={"default": 12}) as run:
        await run.completed(workflow)
    assert most == 2


async def test_a_thread_that_outlives_its_timeout_is_left_behind(dsn: str) -> None:
    leave = threading.Event()

    @worker(max_attempts=2, backoff=0, timeout=0.2)
    def hangs(step: SyncStep) -> str:
        if step.attempt == 1:
            leave.wait(20)
            return "too late"
        return "second"

    workflow = Baton().add("a", hangs.new())
    try:
        async with running(dsn) as run:
            await run.workflow(workflow)
            row = await run.tables.step(workflow, "a")
            assert (row.result, row.attempt) == ("second", 2)
            assert "took longer than its timeout" in row.error
    finally:
        leave.set()


async def test_a_thread_left_behind_keeps_its_place(dsn: str) -> None:
    leave, ran = threading.Event(), threading.Event()

    @worker(max_attempts=1, timeout=0.2)
    def hangs(step: SyncStep) -> None:
        leave.wait(20)

    @worker(max_attempts=1)
    def waits(step: SyncStep) -> None:
        ran.set()

    hanging, waiting = Baton().add("a", hangs.new()), Baton().add("a", waits.new())
    try:
        async with running(dsn, threads=1) as run:
            assert (await run.workflow(hanging)).outcome == "failed"
            await run.insert(waiting)
            await run.events.until(StepExecuting, workflow_id=waiting.workflow_id)
            await run.completed(Baton().add("a", one.new()))
            assert not ran.is_set()
            leave.set()
            await run.end(waiting)
    finally:
        leave.set()


POOL = ThreadPoolExecutor(1, thread_name_prefix="the workers' own")


class Pooled(Worker, executor=POOL, max_attempts=1):
    how: str = "well"

    def perform(self, step: SyncStep) -> Any:
        if self.how == "thread":
            return threading.current_thread().name
        if self.how == "cancelled":
            raise asyncio.CancelledError
        return misbehave(self.how)


@worker(executor=lambda: POOL)
def pooled(step: SyncStep, *, start: int) -> int | Snooze:
    return start + step.result("a", int)


async def test_a_thread_pool_of_the_workers_own(dsn: str) -> None:
    workflow = (
        Baton()
        .add("a", one.new())
        .add("thread", Pooled(how="thread"))
        .add("function", pooled.new(start=5), deps=["a"])
    )
    async with running(dsn) as run:
        await run.completed(workflow)
        assert str((await run.tables.step(workflow, "thread")).result).startswith(
            "the workers' own"
        )
        assert (await run.tables.step(workflow, "function")).result == 6


async def endings(run: Run, workflow: Baton) -> dict[str, tuple[str, str]]:
    await run.workflow(workflow)
    rows = {name: await run.tables.step(workflow, name) for name in workflow.step_names}
    return {name: (row.state, row.error.partition("\n")[0]) for name, row in rows.items()}


SAME_EVERYWHERE = {
    "unpicklable error": ("discarded", "support.apart.TwoFactsError: this and that"),
    "local error": ("discarded", "support.apart.misbehave.<locals>.LocalError: nobody else knows"),
    "stop": ("discarded", "StopIteration"),
    "exit": ("discarded", "SystemExit: 3"),
    "cancel": ("cancelled", "from afar"),
    "well": ("completed", ""),
}


async def test_what_goes_wrong_in_a_thread_pool(dsn: str) -> None:
    workflow = Baton().add("cancelled", Pooled(how="cancelled"))
    for how in SAME_EVERYWHERE:
        workflow.add(how, Pooled(how=how))
    async with running(dsn) as run:
        found = await endings(run, workflow)
    assert found.pop("cancelled") == ("discarded", "asyncio.exceptions.CancelledError")
    assert found == SAME_EVERYWHERE


@pytest.fixture
async def processes() -> AsyncIterator[None]:
    yield
    for spec in (Apart.__baton_spec__, held_spec(apart)):
        assert spec is not None
        assert spec.executor is not None
        spec.executor().shutdown(cancel_futures=True)


@pytest.mark.usefixtures("processes")
async def test_another_process(dsn: str) -> None:
    workflow = Baton().add("a", one.new()).add("b", apart.new(factor=7), deps=["a"])
    workflow.add("large", Apart(how="large")).add("lambda", Apart(how="lambda"))
    for how in SAME_EVERYWHERE:
        workflow.add(how, Apart(how=how))
    async with running(dsn) as run:
        found = await endings(run, workflow)
        pid, product, results, name, meta = (await run.tables.step(workflow, "b")).result
        assert (product, results, name) == (7, {"a": 1}, "b")
        assert meta["workflow_id"] == str(workflow.workflow_id)
        assert (await run.tables.step(workflow, "well")).result not in (pid, os.getpid())
        assert run.events.endings("b") == ["StepRetryable", "StepCompleted"]
        for how, problem in [("large", "the limit is 1048576"), ("lambda", "cannot be stored")]:
            state, error = found.pop(how)
            assert state == "discarded"
            assert problem in error
        assert found.pop("a")[0] == found.pop("b")[0] == "completed"
        assert found == SAME_EVERYWHERE

        # A process that dies breaks its pool; the worker gets another one.
        deadly = Baton().add("dies", Apart(how="die"))
        state, error = (await endings(run, deadly))["dies"]
        assert state == "discarded"
        assert "BrokenProcessPool" in error
        await run.completed(Baton().add("next", Apart()))


async def test_an_unpicklable_error_is_what_it_says() -> None:
    assert str(TwoFactsError("a", "b")) == "a and b"


async def test_an_executor_that_cannot_be_used_fails_the_step(dsn: str) -> None:
    closed = ThreadPoolExecutor(1)
    closed.shutdown()

    def refuse() -> ThreadPoolExecutor:
        raise OSError("no more threads")

    def perform(step: SyncStep) -> int:
        return 1

    workflow = (
        Baton()
        .add("closed", worker(name="closed", executor=closed, max_attempts=1)(perform).new())
        .add("refused", worker(name="refused", executor=refuse, max_attempts=1)(perform).new())
        .add("after", one.new())
    )
    async with running(dsn) as run:
        found = await endings(run, workflow)
        assert found["closed"][1] == "RuntimeError: cannot schedule new futures after shutdown"
        assert found["refused"][1] == "OSError: no more threads"
        assert found["after"][0] == "completed"
        assert len(run.events.of(StepExecuting)) == 3
