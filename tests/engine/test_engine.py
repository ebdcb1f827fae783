"""The life of an engine: started, used, paused, scaled, stopped; alone and beside others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from baton import Baton, Step, insert_all, subscribe, worker
from baton.completion import announce
from baton.errors import EngineStateError, InvalidArgumentError, InvalidOptionError, NoEngineError
from baton.runtime import notifier
from baton.words.events import EngineStarted, EngineStopped, Event, StepCompleted, StepExecuting
from support.running import Recorder, fast, opened, recorded, running
from support.waiting import eventually


@worker
async def works(step: Step) -> None:
    return None


class Holding:
    """A worker whose steps wait until they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

        @worker(name="holding")
        async def holds(step: Step) -> None:
            await self.go.wait()

        self.job = holds.new()


def flat(*names: str, queue: str = "default") -> Baton:
    workflow = Baton()
    for name in names:
        workflow.add(name, works.new(), queue=queue)
    return workflow


def order(events: Recorder) -> list[str | None]:
    return [event.step for event in events.of(StepExecuting)]


async def test_an_engine_lives_once(dsn: str) -> None:
    engine = fast(dsn)
    assert engine.state == "new"
    with pytest.raises(EngineStateError):
        await engine.workflow(UUID(int=0)).completion()
    with recorded() as events:
        async with engine:
            assert engine.state == "running"
            with pytest.raises(EngineStateError):
                await engine.__aenter__()
            assert engine.state == "running"
            await flat("a").insert()
            await events.until(StepCompleted)
        assert engine.state == "stopped"
        await asyncio.gather(engine.stop(), engine.stop())
        with pytest.raises(EngineStateError) as caught:
            await engine.__aenter__()
        assert (caught.value.state, caught.value.expected) == ("stopped", "new")
    assert events.of(EngineStarted) == [EngineStarted("default", ("default",))]
    assert events.of(EngineStopped) == [EngineStopped("default", 0)]
    async with opened(dsn) as tables:
        assert await tables.value("SELECT count(*) FROM baton.baton_engines") == 0


async def test_a_refused_call_is_named_with_what_to_do(dsn: str) -> None:
    engine, id = fast(dsn), UUID(int=0)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "completion": lambda: engine.workflow(id).completion(),
        "result": lambda: engine.workflow(id).result("a"),
        "cancel": lambda: engine.workflow(id).cancel(),
        "insert": lambda: flat("a").insert(engine=engine),
        "announce": lambda: announce(id, engine=engine),
    }

    async def refused(call: str) -> str:
        with pytest.raises(EngineStateError) as caught:
            await calls[call]()
        error = caught.value
        assert (error.call, error.state, error.expected) == (call, engine.state, "running")
        return str(error)

    for call in calls:
        assert await refused(call) == (
            f"{call} needs a running engine, this one is new: use `async with engine`"
        )
    async with engine:
        with pytest.raises(EngineStateError, match="`async with engine` needs a new engine"):
            await engine.__aenter__()
    for call in calls:
        assert "is stopped: an engine runs once, make another one" in await refused(call)


async def test_run_ends_when_it_is_stopped_or_cancelled(dsn: str) -> None:
    with recorded() as events:
        engine = fast(dsn)
        task = asyncio.create_task(engine.run())
        await events.until(EngineStarted)
        await engine.stop()
        await asyncio.wait_for(task, 5)
        assert engine.state == "stopped"

        engine = fast(dsn)
        task = asyncio.create_task(engine.run())
        await events.until(EngineStarted, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.state == "stopped"
        assert len(events.of(EngineStopped)) == 2


TURNS = [0, 1, 2, 4, 8, 12, 20, 35, 50]
"""Turns of the loop after which a start is disturbed."""


async def test_a_stop_while_starting_is_not_lost(dsn: str) -> None:
    for turns in TURNS:
        engine = fast(dsn)
        if turns == 0:
            await engine.stop()
        task = asyncio.create_task(engine.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping = [asyncio.create_task(engine.stop()) for _ in range(3)]
        async with asyncio.timeout(10):
            await asyncio.gather(*stopping, task)
        assert engine.state == "stopped"


async def test_a_start_that_is_cancelled_leaves_nothing(dsn: str) -> None:
    async with opened(dsn) as tables:
        for turns in TURNS[1:]:
            engine = fast(dsn)
            task = asyncio.create_task(engine.run())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(10):
                await engine.stop()
            assert engine.state == "stopped"
            left = {task.get_name() for task in asyncio.all_tasks()}
            assert not {name for name in left if name.startswith("baton")}
            with pytest.raises(NoEngineError):
                await flat("a").insert()
        assert await tables.value("SELECT count(*) FROM baton.baton_engines") == 0
        await eventually(tables.unconnected)


async def test_a_client_performs_nothing(dsn: str) -> None:
    async with opened(dsn) as tables, fast(dsn, queues={}) as client:
        workflow = flat("a")
        await workflow.insert()
        waiting = asyncio.create_task(client.workflow(workflow.workflow_id).completion())
        assert await tables.value("SELECT count(*) FROM baton.baton_engines") == 0
        with pytest.raises(InvalidArgumentError, match="it has none"):
            client.queue("default").pause()
        async with fast(dsn, name="worker"):
            assert (await waiting).outcome == "completed"


async def test_engines_are_found_by_name(dsn: str) -> None:
    with pytest.raises(NoEngineError):
        await flat("a").insert()
    async with (
        running(dsn, name="left") as left,
        running(dsn, name="right", queues={"right": 1}) as right,
    ):
        for engine in ("left", "right", left.engine, right.engine):
            workflow = flat("a")
            await workflow.insert(engine=engine)
            assert (await left.end(workflow)) == (await right.end(workflow))
        with pytest.raises(NoEngineError, match="running are 'left', 'right': pass") as caught:
            await flat("a").insert(engine="middle")
        assert (caught.value.name, caught.value.running) == ("middle", ("left", "right"))


async def test_a_paused_queue_starts_nothing(dsn: str) -> None:
    holding = Holding()
    running_step = Baton().add("holds", holding.job).add("next", works.new(), deps=["holds"])
    async with running(dsn) as run:
        await run.insert(running_step)
        await run.events.until(StepExecuting, step="holds")
        run.engine.queue("default").pause()
        waiting = flat("a", "b")
        await run.insert(waiting)
        holding.go.set()
        await run.events.until(StepCompleted, step="holds")

        async def settled() -> bool:
            # A claim that was under way when the queue was paused comes back and is given back.
            states = {*(await run.tables.states(waiting)).values()}
            return states == {(await run.tables.step(running_step, "next")).state} == {"available"}

        await eventually(settled)
        for name, workflow in (("a", waiting), ("b", waiting), ("next", running_step)):
            found = run.events.of(StepExecuting, workflow_id=workflow.workflow_id, step=name)
            assert not found
        run.engine.queue("default").resume()
        await run.end(waiting)
        await run.end(running_step)
        with pytest.raises(InvalidArgumentError, match="queue"):
            run.engine.queue("unknown")


async def test_a_claim_that_arrives_in_a_paused_queue_goes_back(dsn: str) -> None:
    workflow = flat("a")
    async with running(dsn) as run, opened(dsn) as other:
        await other.execute("BEGIN")
        await other.execute("LOCK TABLE baton.oban_jobs IN SHARE MODE")
        # The insertion and the claim wait behind this lock, in this order.
        inserting = asyncio.create_task(run.insert(workflow))
        await run.tables.blocked(1)
        run.engine.queue("default").resume()
        await run.tables.blocked(2)
        run.engine.queue("default").pause()
        await other.execute("COMMIT")
        await inserting
        run.engine.queue("default").resume()
        await run.end(workflow)
        assert run.events.endings("a")[-1] == "StepCompleted"


async def test_scale_changes_how_many_run_at_once(dsn: str) -> None:
    holding = Holding()
    workflow = Baton()
    for number in range(6):
        workflow.add(str(number), holding.job)
    async with running(dsn, queues={"default": 1}) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting)
        run.engine.queue("default").scale(4)
        await run.events.until(StepExecuting, 4)
        assert (
            await run.tables.value("SELECT count(*) FROM baton.oban_jobs WHERE state = 'available'")
            == 2
        )
        run.engine.queue("default").scale(1)
        holding.go.set()
        await run.end(workflow)
        for limit in (0, -1, True, 1.5, None, "5"):
            with pytest.raises(InvalidOptionError, match="limit"):
                run.engine.queue("default").scale(limit)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="queue"):
            run.engine.queue("unknown").scale(1)


async def test_the_most_urgent_run_first(dsn: str) -> None:
    workflow = Baton()
    for name, priority in [("late", 9), ("middle", 3), ("first", 0), ("middle too", 3)]:
        workflow.add(name, works.new(), priority=priority)
    async with running(dsn, queues={"default": 1}) as run:
        run.engine.queue("default").pause()
        await run.insert(workflow)
        run.engine.queue("default").resume()
        await run.end(workflow)
        assert order(run.events) == ["first", "middle", "middle too", "late"]


async def test_a_full_queue_leaves_the_others_alone(dsn: str) -> None:
    holding = Holding()
    full = Baton()
    for number in range(5):
        full.add(str(number), holding.job, queue="full")
    async with running(dsn, queues={"full": 2, "free": 1}) as run:
        await run.insert(full)
        await run.events.until(StepExecuting, 2)
        free = flat("a", "b", "c", queue="free")
        assert (await run.workflow(free)).outcome == "completed"
        assert len(run.events.of(StepExecuting, queue="full")) == 2
        holding.go.set()
        await run.end(full)


async def test_what_is_due_is_staged_in_batches(dsn: str) -> None:
    workflow = Baton()
    for number in range(25):
        workflow.add(str(number), works.new(), schedule_in=1_000)
    async with running(dsn, stage_limit=4, stage_interval=300) as run:
        await run.insert(workflow)
        for number in range(25):
            state = "'retryable'" if number % 2 else "'scheduled'"
            due = f"timezone('UTC', now()) - interval '{25 - number} s'"
            await run.tables.change(workflow, str(number), state=state, scheduled_at=due)
        # One pass stages all that is due.
        async with fast(dsn, queues={"elsewhere": 1}, name="stager", stage_limit=4):
            await run.end(workflow)


async def test_without_notifications_polling_does_the_work(dsn: str) -> None:
    workflow = Baton().add("a", works.new()).add("b", works.new(), deps=["a"], queue="other")
    async with (
        running(dsn, notify=False, poll_interval=0.02) as run,
        fast(dsn, notify=False, poll_interval=0.02, queues={"other": 1}, name="other"),
    ):
        assert (await run.workflow(workflow)).outcome == "completed"


async def test_unreadable_notifications_are_survived(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "PROBE_INTERVAL", 0.05)
    async with running(dsn) as run:
        await run.completed(flat("a"))
        for channel in ("oban_insert", "baton_finished", "baton_cancel", "baton_probe"):
            for payload in ("", "{", "[]", "null", '{"queue": 5}', "1,2,x", "{" * 5_000, "\u00fc"):
                await run.tables.execute("SELECT pg_notify($1, $2)", f"baton.{channel}", payload)
        await run.completed(flat("b"))


async def test_a_failing_subscriber_hurts_nobody(dsn: str) -> None:
    def fails(event: Event) -> None:
        raise ValueError(event.EVENT)

    unsubscribe = subscribe(fails)
    try:
        async with running(dsn) as run:
            await run.completed(flat("a", "b"))
            await insert_all([flat("c")])
    finally:
        unsubscribe()
