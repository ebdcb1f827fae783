"""Every public call that awaits something, found by looking, and how a test makes it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from uuid import UUID

import baton
import baton.completion
import baton.insights
import baton.schema
import baton.statistics
from baton import Baton, Database, Engine, Step, worker
from baton.errors import UnknownBulkError
from support.running import fast
from support.waiting import DEADLINE

MODULES: tuple[ModuleType, ...] = (
    baton,
    baton.completion,
    baton.insights,
    baton.schema,
    baton.statistics,
)

NO_CALLS = {
    "Database.open": "connects only; tested with the logins",
    "Database.close": "asks nothing",
    "Engine.run": "starts only; tested with the logins",
    "Engine.stop": "logs what fails",
    "Worker.on_dep_cancelled": "the application's",
    "Worker.on_dep_discarded": "the application's",
    "Plugin.run": "connects and then logs what fails",
}
"""Public, and not to be called here."""


def public_calls() -> Iterator[str]:
    """The names of all public coroutine functions and methods, `name` or `Class.method`."""
    for module in MODULES:
        for name in vars(module)["__all__"]:
            found = getattr(module, name)
            if inspect.iscoroutinefunction(found):
                yield name
            elif inspect.isclass(found):
                yield from _methods(found)


def _methods(kind: type) -> Iterator[str]:
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        method = inspect.unwrap(getattr(method, "__func__", method))
        gives = getattr(method, "__annotations__", {}).get("return", "")
        waits = inspect.iscoroutinefunction(method) or "AsyncContextManager" in str(gives)
        if waits and not name.startswith("_"):
            yield f"{kind.__name__}.{name}"


@dataclass
class Scene:
    """What the calls are made on: a running engine and a workflow of two steps, the second of which
    runs.
    """

    dsn: str
    engine: Engine
    database: Database
    workflow_id: UUID
    step: Step

    @property
    def insights(self) -> baton.insights.Insights:
        return baton.insights.Insights(self.database)


@worker(name="public_calls.first")
async def first(step: Step) -> int:
    return 1


_given: list[asyncio.Future[Step]] = []


@worker(name="public_calls.second")
async def second(step: Step) -> None:
    _given.pop().set_result(step)
    await asyncio.Event().wait()


@asynccontextmanager
async def opened_scene(dsn: str) -> AsyncIterator[Scene]:
    """The scene in a migrated database."""
    given: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
    _given.append(given)
    async with fast(dsn, interrupt_grace=0.1, shutdown_grace=0.0, debug=True) as engine:
        workflow = Baton().add("a", first.new()).add("b", second.new(), deps=["a"])
        await workflow.insert(engine=engine)
        step = await asyncio.wait_for(given, DEADLINE)
        yield Scene(dsn, engine, engine.database, workflow.workflow_id, step)


async def _within(context: Any) -> None:
    async with context as connection:
        await connection.fetch("SELECT 1")


async def _resumed_bulk(scene: Scene) -> None:
    with suppress(UnknownBulkError):
        await scene.engine.resume_bulk(UUID(int=0))


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def _workflow() -> Baton:
    return Baton().wait("gate", any_of=["yes"])


Call = Callable[[Scene], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "Baton.insert": lambda s: _workflow().insert(engine=s.engine),
    "insert_all": lambda s: baton.insert_all([_workflow(), _workflow()], engine=s.engine),
    "send_event": lambda s: baton.send_event(s.workflow_id, "x", engine=s.engine),
    "send_event by key": lambda s: baton.send_event(
        None, "x", correlation_key="k", engine=s.engine
    ),
    "WorkflowHandle.cancel_wait": lambda s: s.engine.workflow(s.workflow_id).cancel_wait("b"),
    "Insights.waiting_steps": lambda s: s.insights.waiting_steps(),
    "WorkflowHandle.waiting_steps": lambda s: s.engine.workflow(s.workflow_id).waiting_steps(),
    "announce": lambda s: baton.completion.announce(s.workflow_id, engine=s.engine),
    "check": lambda s: baton.completion.check(s.step.job_id, "completed", engine=s.engine),
    "WorkflowHandle.usage": lambda s: s.engine.workflow(s.workflow_id).usage(),
    "WorkflowHandle.captures": lambda s: s.engine.workflow(s.workflow_id).captures(),
    "WorkflowHandle.completion": lambda s: s.engine.workflow(s.workflow_id).completion(
        timeout=0.05
    ),
    "WorkflowHandle.result": lambda s: s.engine.workflow(s.workflow_id).result("a"),
    "WorkflowHandle.output": lambda s: s.engine.workflow(s.workflow_id).output(),
    "WorkflowHandle.status": lambda s: s.engine.workflow(s.workflow_id).status(),
    "WorkflowHandle.steps": lambda s: s.engine.workflow(s.workflow_id).steps(),
    "WorkflowHandle.send_event": lambda s: s.engine.workflow(s.workflow_id).send_event("x"),
    "Baton.completion": lambda s: Baton(s.workflow_id).completion(timeout=0.05, engine=s.engine),
    "WorkflowHandle.extend": lambda s: s.engine.workflow(s.workflow_id).extend(
        Baton().wait("more", any_of=["x"])
    ),
    "WorkflowHandle.fork": lambda s: s.engine.workflow(s.workflow_id).fork(),
    "WorkflowHandle.retry": lambda s: s.engine.workflow(s.workflow_id).retry("all", interrupt=True),
    "WorkflowHandle.cancel": lambda s: s.engine.workflow(s.workflow_id).cancel(),
    "WorkflowHandle.cancel_step": lambda s: s.engine.workflow(s.workflow_id).cancel_step("b"),
    "WorkflowHandle.complete_step": lambda s: s.engine.workflow(s.workflow_id).complete_step("b"),
    "WorkflowHandle.pause": lambda s: s.engine.workflow(s.workflow_id).pause(),
    "WorkflowHandle.resume": lambda s: s.engine.workflow(s.workflow_id).resume(),
    "WorkflowsHandle.count": lambda s: s.engine.workflows("running").count(),
    "WorkflowsHandle.cancel": lambda s: s.engine.workflows("running").cancel(),
    "WorkflowsHandle.retry": lambda s: s.engine.workflows("running").retry(),
    "WorkflowsHandle.pause": lambda s: s.engine.workflows("running").pause(),
    "WorkflowsHandle.resume": lambda s: s.engine.workflows("running").resume(),
    "Engine.resume_bulk": lambda s: _resumed_bulk(s),
    "Insights.bulks": lambda s: s.insights.bulks(),
    "Insights.actions": lambda s: s.insights.actions(),
    "Insights.history": lambda s: s.insights.history(s.workflow_id),
    "Insights.engines": lambda s: s.insights.engines(),
    "Insights.queues": lambda s: s.insights.queues(),
    "Insights.steps": lambda s: s.insights.steps(s.workflow_id),
    "Insights.why": lambda s: s.insights.why(s.workflow_id, "b"),
    "Insights.workflow": lambda s: s.insights.workflow(s.workflow_id),
    "Insights.workflows": lambda s: s.insights.workflows(),
    "Database.connection": lambda s: _within(s.database.connection()),
    "Database.transaction": lambda s: _within(s.database.transaction()),
    "Plugin.sweep": lambda s: baton.Plugin(prune=True).sweep(s.database),
    "current_version": lambda s: baton.schema.current_version(s.dsn),
    "migrate": lambda s: baton.schema.migrate(s.dsn),
    "require": lambda s: baton.schema.require(s.database),
    "rollback": lambda s: baton.schema.rollback(s.dsn, to=baton.schema.latest_version()),
    "verify": lambda s: baton.schema.verify(s.dsn),
    "Step.result": lambda s: s.step.result("a"),
    "Step.results": lambda s: s.step.results(),
    "Step.results_by_model": lambda s: s.step.results_by_model(),
    "Step.input": lambda s: s.step.input(),
    "Step.own_result": lambda s: s.step.own_result(),
    "Step.record_usage": lambda s: s.step.record_usage(model="m", input_tokens=1),
    "Step.capture": lambda s: s.step.capture("label", 1),
    "Step.memo": lambda s: s.step.memo("note", lambda: 1),
    "Step.sleep": lambda s: s.step.sleep(60, replay_key="sleep"),
    "Step.sleep_until": lambda s: s.step.sleep_until(_later(), replay_key="until"),
    "Step.wait_all": lambda s: s.step.wait_all("x", replay_key="all"),
    "Step.wait_any": lambda s: s.step.wait_any("x", replay_key="any"),
    "Step.wait_for": lambda s: s.step.wait_for("x", replay_key="for"),
    "Step.wait_n": lambda s: s.step.wait_n(1, "x", replay_key="n"),
}
"""By name; what follows a blank is another form of the same call."""

LOGS_ITS_FAILURES = {"check", "Step.record_usage", "Step.capture", "Plugin.sweep"}
