"""Stopping: in phases, each with a deadline, and nothing is left executing."""

from __future__ import annotations

import asyncio
import itertools
import threading
from time import monotonic

import pytest

from baton import Baton, Engine, Step, SyncStep, insert_all, worker
from baton.errors import EngineStateError
from baton.settling import cascade_hooks
from baton.words.events import EngineStopped, StepCompleted, StepExecuting, StepReleased
from support.running import Run, fast, opened, recorded, running
from support.waiting import eventually

NUMBERS = itertools.count()


class Stubborn:
    """A worker whose step does as told when the engine interrupts it."""

    def __init__(self, how: str) -> None:
        self.go = asyncio.Event()
        self.cleaned = False

        @worker(name=f"stubborn.{next(NUMBERS)}", max_attempts=3)
        async def stubborn(step: Step) -> str:
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                if how == "cleans up":
                    await asyncio.sleep(0)
                    self.cleaned = True
                    raise
                if how == "raises":
                    raise ValueError("while cleaning up") from None
                if how == "returns":
                    return "in spite of it"
                # Deaf: goes on as if nothing had happened.
                await self.go.wait()
            return "finished"

        self.job = stubborn.new()


async def begun(run: Run, workflow: Baton) -> None:
    await run.insert(workflow)
    await run.events.until(StepExecuting, len(workflow))


async def test_running_steps_finish_within_the_grace(dsn: str) -> None:
    step = Stubborn("cleans up")
    workflow = Baton().add("a", step.job).add("b", Stubborn("x").job, deps=["a"])
    async with running(dsn, shutdown_grace=10) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting, step="a")
        stopping = asyncio.create_task(run.engine.stop())
        await asyncio.sleep(0)
        assert run.engine.state == "stopping"
        with pytest.raises(EngineStateError):
            await run.engine.workflow(workflow.workflow_id).completion()
        # Many turns of the loop later it still runs, and nothing has interrupted it.
        for _ in range(20):
            assert (await run.tables.step(workflow, "a")).state == "executing"
        assert run.engine.state == "stopping"
        step.go.set()
        await stopping
        assert (await run.tables.step(workflow, "a")).result == "finished"
        # Released, but not started here any more.
        assert (await run.tables.step(workflow, "b")).state == "available"
        assert run.events.of(EngineStopped) == [EngineStopped("default", 0)]


@pytest.mark.parametrize("how", ["cleans up", "raises", "deaf"])
async def test_steps_interrupted_at_the_deadline_go_back_untouched(dsn: str, how: str) -> None:
    step = Stubborn(how)
    workflow = Baton().add("a", step.job)
    async with running(dsn, shutdown_grace=0.05, interrupt_grace=0.1) as run:
        await begun(run, workflow)
        start = monotonic()
        await run.engine.stop()
        assert monotonic() - start < 3
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.attempt, row.errors, row.settled) == ("available", 0, [], None)
        assert len(run.events.of(StepReleased, step="a")) == 1
        assert run.events.of(EngineStopped) == [EngineStopped("default", 1)]
        assert step.cleaned is (how == "cleans up")
        step.go.set()
        # Another engine takes it up.
        async with fast(dsn, name="next") as engine:
            await engine.workflow(workflow.workflow_id).completion(timeout=10)
        row = await run.tables.step(workflow, "a")
        assert (row.result, row.attempt, row.errors) == ("finished", 1, [])


async def test_a_step_that_returns_when_interrupted_has_completed(dsn: str) -> None:
    workflow = Baton().add("a", Stubborn("returns").job)
    async with running(dsn, shutdown_grace=0) as run:
        await begun(run, workflow)
        await run.engine.stop()
        assert (await run.tables.step(workflow, "a")).result == "in spite of it"
        assert run.events.of(EngineStopped) == [EngineStopped("default", 1)]


async def test_many_running_steps_go_back(dsn: str) -> None:
    workflow = Baton()
    for number in range(60):
        how = ["cleans up", "raises", "deaf"][number % 3]
        workflow.add(str(number), Stubborn(how).job)
    async with running(
        dsn, queues={"default": 60}, shutdown_grace=0, interrupt_grace=0.1, settle_limit=7
    ) as run:
        await begun(run, workflow)
        await run.engine.stop()
        assert set((await run.tables.states(workflow)).values()) == {"available"}
        assert await run.tables.value("SELECT max(attempt) FROM baton.oban_jobs") == 0
        await run.engine.stop()


async def test_a_blocking_thread_does_not_hold_up_the_stop(dsn: str) -> None:
    leave = threading.Event()

    @worker
    def blocks(step: SyncStep) -> str:
        leave.wait(20)
        return "too late"

    workflow = Baton().add("a", blocks.new()).add("b", blocks.new())
    try:
        async with running(dsn, shutdown_grace=0.05, interrupt_grace=0.05, threads=1) as run:
            await begun(run, workflow)
            start = monotonic()
            await run.engine.stop()
            assert monotonic() - start < 3
            assert set((await run.tables.states(workflow)).values()) == {"available"}
            assert await run.tables.value("SELECT max(attempt) FROM baton.oban_jobs") == 0
    finally:
        leave.set()


async def test_a_blocked_default_executor_does_not_hold_up_the_stop(dsn: str) -> None:
    leave = threading.Event()
    loop = asyncio.get_running_loop()
    try:
        async with running(dsn) as run:
            blocked = [loop.run_in_executor(None, leave.wait, 20) for _ in range(40)]
            async with asyncio.timeout(5):
                await run.engine.stop()
    finally:
        leave.set()
        await asyncio.gather(*blocked)


async def test_jobs_claimed_but_not_started_go_back(dsn: str) -> None:
    workflow = Baton()
    for number in range(20):
        workflow.add(str(number), Stubborn("x").job, schedule_in=1_000)
    async with running(dsn, queues={"default": 40}) as run, opened(dsn) as other:
        await run.insert(workflow)
        await other.execute("BEGIN")
        for number in range(20):
            await other.execute(
                "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1",
                (await run.tables.step(workflow, str(number))).id,
            )
        # The claim waits for the table, and gets it when the engine is stopping already.
        await other.execute("LOCK TABLE baton.oban_jobs IN ACCESS EXCLUSIVE MODE")
        run.engine.queue("default").resume()
        await run.tables.blocked(1)
        stopping = asyncio.create_task(run.engine.stop())
        await asyncio.sleep(0)
        await other.execute("COMMIT")
        await stopping
        assert set((await run.tables.states(workflow)).values()) == {"available"}
        assert await run.tables.value("SELECT max(attempt) FROM baton.oban_jobs") == 0
        assert not run.events.of(StepExecuting)
        assert len(run.events.of(StepReleased)) == 20


async def test_a_stop_survives_those_who_asked_for_it(dsn: str) -> None:
    step = Stubborn("cleans up")
    workflow = Baton().add("a", step.job)
    async with running(dsn, shutdown_grace=0.2) as run:
        await begun(run, workflow)
        impatient = [asyncio.create_task(run.engine.stop()) for _ in range(2)]
        await asyncio.sleep(0)
        for task in impatient:
            task.cancel()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run.engine.stop(), 0.01)
        await run.engine.stop()
        assert run.engine.state == "stopped"
        assert (await run.tables.step(workflow, "a")).state == "available"
        assert await run.tables.value("SELECT count(*) FROM baton.baton_engines") == 0
        assert (
            await run.tables.value(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'baton%'"
                " AND datname = current_database()"
            )
            == 0
        )


STOPPING: dict[str, Engine] = {}


@worker
async def stops(step: Step) -> None:
    await STOPPING["engine"].stop()


async def test_a_step_may_stop_its_engine(dsn: str) -> None:
    workflow = Baton().add("a", stops.new())
    with recorded() as events:
        engine = STOPPING["engine"] = fast(dsn, shutdown_grace=0.05)
        task = asyncio.create_task(engine.run())
        await events.until(StepExecuting, 0)
        async with fast(dsn, queues={}, name="client") as client:
            await workflow.insert(engine=client)
            async with asyncio.timeout(10):
                await task
    assert engine.state == "stopped"
    async with opened(dsn) as tables:
        row = await tables.step(workflow, "a")
        assert (row.state, row.attempt) == ("available", 0)


async def test_hooks_that_hang_do_not_hold_up_the_stop(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascade_hooks, "STOP_TIMEOUT", 0.05)
    cancelled = asyncio.Event()

    async def hangs(step: Step, dependency: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    @worker(max_attempts=1)
    async def fails(step: Step) -> None:
        raise ValueError

    @worker(on_dep_discarded=hangs)
    async def hooked(step: Step) -> None:
        return None

    workflow = Baton().add("a", fails.new()).add("b", hooked.new(), deps=["a"])
    async with running(dsn) as run:
        await run.workflow(workflow)
        async with asyncio.timeout(5):
            await run.engine.stop()
        async with asyncio.timeout(5):
            await cancelled.wait()


async def test_outcomes_are_settled_before_the_end(dsn: str) -> None:
    """A stop in the middle of much work: each step either completed or is as if never begun."""

    @worker
    async def works(step: Step) -> int:
        await asyncio.sleep(0)
        return step.attempt

    workflows = [Baton().add("a", works.new()).add("b", works.new(), deps=["a"]) for _ in range(50)]
    async with running(dsn, queues={"default": 5}, shutdown_grace=0, settlers=3) as run:
        await insert_all(workflows)
        await run.events.until(StepCompleted, 30)
        await run.engine.stop()
        assert not await run.tables.violations()
        rows = [await run.tables.step(w, name) for w in workflows for name in ("a", "b")]
        seen = [(row.state, row.attempt, row.stored) for row in rows]
        assert set(seen) <= {
            ("completed", 1, True),
            ("available", 0, False),
            ("suspended", 0, False),
        }
        async with fast(dsn, name="next") as engine:
            for workflow in workflows:
                await engine.workflow(workflow.workflow_id).completion(timeout=10)


async def test_a_stop_that_fails_half_way_closes_everything(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(dsn) as tables:
        engine = fast(dsn)
        await engine.__aenter__()
        workflow = Baton().add("a", Stubborn("x").job, schedule_in=3600)
        await workflow.insert(engine=engine)
        waiting = asyncio.create_task(engine.workflow(workflow.workflow_id).completion())
        await asyncio.sleep(0)

        async def fails(timeout: float) -> int:
            raise RuntimeError("a fault of the engine")

        monkeypatch.setattr(engine._parts.runtime.producer, "flush", fails)
        with pytest.raises(RuntimeError, match="a fault of the engine"):
            await engine.stop()
        assert engine.state == "stopped"
        with pytest.raises(EngineStateError):
            await waiting
        await eventually(tables.unconnected)
