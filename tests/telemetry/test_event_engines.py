"""Every event names the engine it came from, also where two engines of one process call each
other's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import anyio
import pytest

from baton import (
    Baton,
    Cancel,
    Discard,
    Engine,
    Plugin,
    Skip,
    Snooze,
    Step,
    SyncStep,
    Worker,
    events,
    insert_all,
    send_event,
    worker,
)
from baton.completion import check
from baton.store.store import store_of
from baton.sweep.plugin import sweep_in_turn
from baton.words.events import (
    ConnectionLost,
    ConnectionRegained,
    EngineStarted,
    EngineStopped,
    Event,
    EventReceived,
    JobsRescued,
    QueueObserved,
    RowsPruned,
    StepDiscarded,
    StepEvent,
    StepExecuting,
    StepFenced,
    StepInterrupted,
    StepReleased,
    StepRetryable,
    StepsCancelled,
    StepSettled,
    StepsSettled,
    StepUsage,
    SweepFinished,
    WaitSettled,
    WaitsObserved,
    WorkflowFinished,
    WorkflowGrown,
    WorkflowInserted,
)
from baton.workers.registry import held_spec
from runtime.test_rescue import QUICK, orphan
from support.apart import spend_apart
from support.databases import create_database, drop_database
from support.inserting import session
from support.running import Recorder, Tables, fast, opened, recorded

NAMES = ("a", "b")
KINDS = {getattr(events, name) for name in events.__all__} - {Event, StepEvent, StepSettled}
FIRST_OF_B = 1_000_000
"""The first id of a job in the database of b: an id alone says whose job it is."""

owners: dict[UUID, str] = {}
"""The engine that each workflow was meant for."""


def flow(owner: str) -> Baton:
    made = Baton(workflow_name=f"of {owner}")
    owners[made.workflow_id] = owner
    return made


@worker(max_attempts=1)
async def ends(step: Step, *, how: str) -> object:
    await step.record_usage(model="m", input_tokens=1)
    match how:
        case "skip":
            return Skip("no")
        case "discard":
            return Discard("no")
        case "cancel":
            return Cancel("no")
        case "snooze":
            return Snooze(3_600)
        case "grow":
            step.add("grown", ends.new(how="well"), queue="nobody")
        case "hang":
            await asyncio.Event().wait()
        case "time-out":
            await step.wait_for("never", timeout=0.05)
    return how


@worker
def in_a_thread(step: SyncStep) -> None:
    step.record_usage(model="m", input_tokens=1)


class Hooked(Worker):
    """What it does after a cascade belongs to its own engine, whoever caused the cascade."""

    owner: str

    async def on_dep_cancelled(self, step: Step, dependency: str) -> None:
        await flow(self.owner).wait("w", any_of=["never"]).insert()
        await step.record_usage(model="hook", input_tokens=1)

    async def on_dep_discarded(self, step: Step, dependency: str) -> None:
        await self.on_dep_cancelled(step, dependency)

    async def perform(self, step: Step) -> None: ...


@worker
async def reaches(step: Step, *, own: str, other: str) -> None:
    """A step of one engine that works through the other, and through its own."""
    there = flow(other).add("x", ends.new(how="well"), queue=f"q{other}")
    await asyncio.create_task(there.insert(engine=other))
    await there.completion()
    waiting = flow(other).wait("w", any_of=["go"])
    await waiting.insert(engine=other)
    await send_event(waiting.workflow_id, "go", engine=other)
    keyed = flow(other).wait("w", any_of=["go"], correlation_key=f"key-{other}")
    await keyed.insert(engine=other)
    await send_event(None, "go", correlation_key=f"key-{other}", engine=other)
    refused = flow(other).wait("w", any_of=["never"])
    await refused.add("x", Hooked(owner=other), deps=["w"]).insert(engine=other)
    await refused.handle().cancel_wait("w")
    stopped = flow(other).add("x", ends.new(how="well"), schedule_in=3_600)
    await stopped.insert(engine=other)
    await stopped.handle().cancel()
    hosted = flow(other).add("x", ends.new(how="well"), schedule_in=3_600)
    hosted.add("y", Hooked(owner=other), deps=["x"])
    job, _ = await hosted.insert(engine=other)
    await check(job, "discarded", engine=other)
    here = flow(own).add("x", ends.new(how="well"), queue=f"q{own}")
    await here.insert()
    await here.completion()


@dataclass(frozen=True)
class Side:
    """One of two engines, with its tables; each has a database of its own."""

    name: str
    other: str
    engine: Engine
    tables: Tables
    seen: Recorder

    async def steps(self, *endings: str) -> None:
        workflow = flow(self.name)
        queue = f"q{self.name}"
        for ending in endings:
            workflow.add(ending, ends.new(how=ending), queue=queue)
        workflow.add("in a thread", in_a_thread.new(), queue=queue)
        workflow.add("in a process", spend_apart.new(), queue=queue, model="m")
        await workflow.insert(engine=self.engine)
        await self.seen.until(StepUsage, 4, workflow_id=workflow.workflow_id, attempt=1)
        await self.seen.until(StepRetryable, workflow_id=workflow.workflow_id)
        await self.seen.until(WaitSettled, workflow_id=workflow.workflow_id)
        await self.seen.until(WorkflowGrown, workflow_id=workflow.workflow_id)

    async def through_the_other(self) -> None:
        workflow = flow(self.name)
        step = reaches.new(own=self.name, other=self.other)
        await workflow.add("reaches", step, queue=f"q{self.name}").insert(engine=self.engine)
        completion = await workflow.completion()
        assert completion.failed_steps == ()
        await self.seen.until(StepUsage, 2, model="hook", engine=self.other)

    async def on_a_callers_connection(self) -> None:
        async with self.engine.database.transaction() as connection:
            workflow = flow(self.name).wait("w", any_of=["go"])
            await workflow.insert(conn=connection, engine=self.name)
            await send_event(workflow.workflow_id, "go", conn=connection, engine=self.name)
        await self.engine.workflow(workflow.workflow_id).completion()

    async def ended_by_hand(self) -> None:
        for state, kind in (("cancelled", StepInterrupted), ("discarded", StepFenced)):
            workflow = flow(self.name).add("x", ends.new(how="hang"), queue=f"q{self.name}")
            await workflow.insert(engine=self.engine)
            await self.seen.until(StepExecuting, workflow_id=workflow.workflow_id)
            await self.tables.change(workflow, "x", state=f"'{state}'")
            await self.seen.until(kind, workflow_id=workflow.workflow_id)

    async def rescued(self) -> None:
        workflow = flow(self.name).add("x", ends.new(how="well"), queue="elsewhere")
        await workflow.insert(engine=self.engine)
        for _ in range(2):
            await orphan(self.tables, workflow, "x", uuid4())
            await self.tables.until(workflow, "x", "available", "discarded")
        await self.seen.until(StepDiscarded, workflow_id=workflow.workflow_id)

    async def swept(self) -> None:
        """Found by the sweep: a job that ended, one that vanished, and rows to prune."""
        workflow = flow(self.name).add("x", ends.new(how="well"), schedule_in=3_600)
        workflow.add("y", ends.new(how="well"), deps=["x"])
        await workflow.insert(engine=self.engine)
        job_id = (await self.tables.step(workflow, "x")).id
        await self.tables.execute("DELETE FROM baton.oban_jobs WHERE id = $1", job_id)
        begun = len(self.seen.all)
        plugin = Plugin(prune=True, job_max_age={"cancelled": 0})
        await sweep_in_turn(plugin, store_of(self.engine), self.engine.settings)
        kinds = (SweepFinished, RowsPruned, WaitsObserved, StepsSettled, StepsCancelled)
        for kind in kinds:
            found = [event for event in self.seen.all[begun:] if isinstance(event, kind)]
            assert {event.engine for event in found} == {self.name}, kind

    async def disconnected(self) -> None:
        """What is done through the connections of one engine fails; the other's go on."""
        begun = len(self.seen.all)
        await self.tables.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for kind in (ConnectionLost, ConnectionRegained):
            await self.seen.until(kind, engine=self.name)
            found = [event for event in self.seen.all[begun:] if isinstance(event, kind)]
            assert {event.engine for event in found} == {self.name}

    async def cut_short(self) -> None:
        """It stops while a step of it runs."""
        workflow = flow(self.name).add("x", ends.new(how="hang"), queue=f"q{self.name}")
        await workflow.insert(engine=self.engine)
        await self.seen.until(StepUsage, workflow_id=workflow.workflow_id)
        await self.engine.stop()
        await self.seen.until(StepReleased, workflow_id=workflow.workflow_id)


def owner_of(event: Event) -> str | None:
    """The engine that an event must name, by what else it says; None where that says nothing."""
    workflow_id = getattr(event, "workflow_id", None)
    if workflow_id is not None:
        return owners[workflow_id]
    match event:
        case StepEvent(job_id=job_id):
            return NAMES[job_id >= FIRST_OF_B]
        case JobsRescued() | StepsSettled() | StepsCancelled():
            (whose,) = {job_id >= FIRST_OF_B for job_id in event.job_ids}
            return NAMES[whose]
        case QueueObserved(queue=queue) if queue in ("qa", "qb"):
            return queue[1:]
        case EventReceived(correlation_key=str(key)):
            return key.removeprefix("key-")
        case EngineStarted(queues=queues):
            return queues[0][1:]
        case _:
            return None


@pytest.fixture
async def other_dsn(server: str, template: str) -> AsyncIterator[str]:
    dsn = await create_database(server, template)
    yield dsn
    await drop_database(server, dsn)


@pytest.fixture(autouse=True)
def no_processes_left() -> Iterator[None]:
    owners.clear()
    yield
    executor = held_spec(spend_apart).executor
    assert executor is not None
    executor().shutdown(cancel_futures=True)


@asynccontextmanager
async def two_engines(dsn: str, other_dsn: str) -> AsyncIterator[tuple[Side, Side]]:
    async with AsyncExitStack() as stack:
        seen = stack.enter_context(recorded())
        sides: list[Side] = []
        for name, other, where in (("a", "b", dsn), ("b", "a", other_dsn)):
            tables = await stack.enter_async_context(opened(where))
            if name == "b":
                await tables.execute(
                    f"ALTER SEQUENCE baton.oban_jobs_id_seq RESTART WITH {FIRST_OF_B}"
                )
            engine = fast(where, name=name, queues={f"q{name}": 10}, max_rescues=1, **QUICK)
            await stack.enter_async_context(engine)
            sides.append(Side(name, other, engine, tables, seen))
        a, b = sides
        yield a, b


async def test_two_engines_that_call_each_other(dsn: str, other_dsn: str) -> None:
    async with two_engines(dsn, other_dsn) as (a, b):
        seen = a.seen
        for side in (a, b):
            await side.steps("well", "grow", "discard", "cancel", "skip", "snooze", "time-out")
            await side.through_the_other()
            await side.on_a_callers_connection()
            await side.ended_by_hand()
            await side.rescued()
            await side.swept()
            await side.disconnected()
        for side in (a, b):
            await side.cut_short()
    wrong = [event for event in seen.all if event.engine != (owner_of(event) or event.engine)]
    assert wrong == []
    for name in NAMES:
        assert KINDS - {type(event) for event in seen.of(Event, engine=name)} == set()
    assert seen.of(Event, engine=None) == []
    assert [event.engine for event in seen.of(EngineStopped)] == ["a", "b"]


async def test_no_engine_is_involved(dsn: str) -> None:
    """On a caller's connection while none runs, and by a plugin that runs alone."""
    async with opened(dsn) as tables, session(dsn) as connection:
        with recorded() as seen:
            workflow = Baton().wait("w", any_of=["go"])
            doomed = Baton().add("x", ends.new(how="well"), schedule_in=3_600)
            await insert_all([workflow, doomed], conn=connection)
            await send_event(workflow.workflow_id, "go", conn=connection)
            await tables.change(doomed, "x", state="'cancelled'", cancelled_at="now()")
            async with anyio.create_task_group() as group:
                group.start_soon(Plugin(interval=0.05).run, dsn)
                await seen.until(WorkflowFinished, 2)
                await seen.until(SweepFinished)
                group.cancel_scope.cancel()
        kinds = {type(event) for event in seen.all}
        assert kinds >= {WorkflowInserted, EventReceived, WaitSettled, StepsSettled, WaitsObserved}
        assert {event.engine for event in seen.all} == {None}
