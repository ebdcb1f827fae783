"""In which context steps run, and through which engine they insert."""

from __future__ import annotations

from contextlib import AsyncExitStack
from contextvars import ContextVar

from baton import Baton, Engine, Step, schema, subscribe, worker
from baton.words.events import Event, StepCompleted, StepExecuting
from engine.test_engine import flat
from support.running import FAST, FastOptions, running

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


@worker
async def leaves_a_trace(step: Step) -> str:
    found = WHO.get()
    WHO.set(str(step.name))
    return found


@worker
async def inserts(step: Step) -> str:
    """Inserts through the engine that performs it, whoever woke that engine."""
    workflow = flat("inner", queue="inner")
    await workflow.insert()
    return str(workflow.workflow_id)


async def test_steps_share_no_context(dsn: str) -> None:
    WHO.set("the application")
    workflow = Baton().add("0", leaves_a_trace.new())
    for number in range(1, 4):
        workflow.add(str(number), leaves_a_trace.new(), deps=[str(number - 1)])
    # Where a log record of an event would belong.
    told: set[tuple[type[Event], str]] = set()
    async with AsyncExitStack() as stack:
        stack.callback(subscribe(lambda event: told.add((type(event), WHO.get()))))
        run = await stack.enter_async_context(running(dsn))
        WHO.set("a request")
        run.engine.queue("default").pause()
        await run.insert(workflow)
        run.engine.queue("default").resume()
        await run.end(workflow)
        for name in workflow.step_names:
            assert (await run.tables.step(workflow, name)).result == "the application"
    for kind in (StepExecuting, StepCompleted):
        assert {who for told_kind, who in told if told_kind is kind} == {"the application"}


async def test_a_step_inserts_through_its_own_engine(dsn: str) -> None:
    await schema.migrate(dsn, schema="other")
    options: FastOptions = {**FAST, "queues": {"other": 1}}
    async with (
        running(dsn, name="first") as first,
        Engine(dsn, schema="other", name="second", **options) as second,
    ):
        for _ in range(2):
            workflow = Baton().add("a", inserts.new())
            await workflow.insert(engine=first.engine)
            await first.end(workflow)
            theirs = Baton().add("a", inserts.new(), queue="other")
            await theirs.insert(engine=second)
            # Woken by a request of the other one's.
            second.queue("other").resume()
            await second.workflow(theirs.workflow_id).completion(timeout=10)
        count = "SELECT count(*) FROM {}.oban_jobs WHERE queue = 'inner'"
        assert await first.tables.value(count.format("baton")) == 2
        assert await first.tables.value(count.format("other")) == 2
