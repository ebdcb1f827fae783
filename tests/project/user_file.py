"""A user's file: what type checkers must accept as it stands, in their strictest modes, and which
types they must see. `make types` checks it with mypy and pyright.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, assert_type
from uuid import UUID

import asyncpg
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from baton import (
    Baton,
    Completion,
    Delivery,
    Engine,
    Job,
    NewJob,
    QueueHandle,
    Skip,
    Snooze,
    Step,
    StepRef,
    SyncStep,
    WaitCancelled,
    WaitEvents,
    WaitingStep,
    WaitOutcome,
    WaitTimeout,
    Worker,
    WorkflowHandle,
    insert_all,
    send_event,
    worker,
)
from baton.errors import CompletionTimeoutError, UnknownWorkflowError
from baton.insights import Insights, Page, StepRow, WorkflowDetail
from baton.statistics import Capture, WorkflowUsage


class Decision(BaseModel):
    approved: bool
    by: str


class Fetch(Worker, queue="io", max_attempts=3):
    url: str

    async def perform(self, step: Step) -> int | Snooze:
        found = await step.result("token", str)
        assert_type(found, str)
        assert_type(await step.input(Decision), Decision)
        either = await step.result("page", int | None)  # type checkers differ on how they see it
        return len(self.url) if either is None else Snooze(timedelta(seconds=5))


@worker(queue="cpu", timeout=30)
def crunch(step: SyncStep, *, size: int) -> int:
    return size * 2


@worker
async def decide(step: Step, *, limit: int) -> str:
    first = await step.wait_any("approved", "refused", timeout=60)
    assert_type(first, WaitEvents | WaitTimeout | WaitCancelled)
    outcome: WaitOutcome = await step.wait_n(2, "a", "b", "c", replay_key="two")
    if isinstance(outcome, WaitCancelled):
        return outcome.reason
    every = await step.wait_all("a", "b", timeout=5, default=0)
    assert_type(every, WaitEvents | WaitCancelled | int)
    answer = await step.wait_for("decision", payload_type=Decision)
    assert_type(answer, Decision | WaitTimeout[Decision] | WaitCancelled)
    other = await step.wait_for("decision", payload_type=Decision, timeout=5, default=None)
    assert_type(other, Decision | WaitCancelled | None)
    async with step.transaction() as conn:
        assert_type(await conn.execute("SELECT 1"), str)
    async with step.session(expire_on_commit=False) as session:
        assert_type(session, AsyncSession)
    noted = await step.memo("note", lambda: 1)
    assert_type(noted, int)
    await step.sleep(1.5)
    return answer.by if isinstance(answer, Decision) else "nobody"


@worker
async def decide_together(step: Step) -> str:
    """What a wait brings has the type of its payloads."""
    first = await step.wait_any("ada", "bob", payload_type=Decision, timeout=60)
    assert_type(first, WaitEvents[Decision] | WaitTimeout[Decision] | WaitCancelled)
    kept: WaitOutcome[Decision] = await step.wait_n(1, "ada", "bob", payload_type=Decision)
    if isinstance(first, WaitTimeout):
        assert_type([*first.received.values()], list[Decision])
    every = await step.wait_all("ada", "bob", payload_type=Decision, timeout=5, default=None)
    assert_type(every, WaitEvents[Decision] | WaitCancelled | None)
    two = await step.wait_n(2, "ada", "bob", payload_type=int, timeout=5, default="none")
    assert_type(two, WaitEvents[int] | WaitCancelled | str)
    wider: WaitOutcome[BaseModel] = kept
    unnamed: WaitOutcome = kept
    mixed = await step.wait_all("ada", "bob", payload_type={"ada": Decision, "bob": int})
    assert_type(mixed, WaitEvents[Any] | WaitTimeout[Any] | WaitCancelled)
    either = await step.wait_for("maybe", payload_type=Decision | None)  # as for `result` above
    one_of = await step.wait_any("level", payload_type=Literal["low", "high"])
    match every:
        case WaitEvents():
            assert_type(every["ada"], Decision)
            return every[every.winner].by
        case _:
            return f"{wider} {unnamed} {either} {one_of}"


class Fetched(BaseModel):
    title: str | None = None
    words: list[str]


@worker(queue="io")
async def fetch(step: Step, *, url: str) -> Fetched | Snooze:
    return Fetched(words=[url])


class Measure(Worker):
    words: list[str]

    def perform(self, step: SyncStep) -> int | Skip:
        return len(self.words)


class Nothing(Worker):
    async def perform(self, step: Step) -> None: ...


@worker
def report(step: SyncStep, *, lengths: dict[str, int], title: str | None) -> str:
    return f"{title} {lengths}"


def fetch_job(url: str) -> NewJob[Fetched | Snooze]:
    return fetch.new(url=url)


def edges() -> StepRef[str]:
    """Results as arguments have the types that the workers return."""
    flow = Baton(input=Decision(approved=True, by="ada"), output="length")
    page = flow.step("page", fetch_job("a.example"), queue="io", deps=["later"])
    assert_type(page, StepRef[Fetched])
    assert_type(page.output.words[0], str)
    length = flow.step("length", Measure(words=page.output.words), deps=[page], priority=3)
    assert_type(length.output, int)
    assert_type(flow.step("nothing", Nothing(), any_of=[page, "length"]), StepRef[None])
    flow.add("later", crunch.new(size=length.output), deps=[length])
    untyped: StepRef = page
    workers: list[Worker] = [Nothing()]
    assert_type(flow.step("any", workers[0]), StepRef[Any])
    given = flow.input_as(Decision)
    assert_type(given.by, str)
    flow.add("first", Measure(words=[given.by, flow.input.by]))
    flow.output = length
    flow.output = "length"
    assert_type(flow.output, str | None)
    job: NewJob = report.new(lengths={"a": length.output}, title=page.output.title)
    flow.add(untyped.name, job)
    return flow.step("report", report.new(lengths={}, title=None))


def flow() -> Baton:
    return (
        Baton(workflow_name="order", model_map={"smart": "gpt-5"})
        .add("token", Fetch(url="a.example"))
        .add("crunch", crunch.new(size=3), deps=["token"], priority=2)
        .wait("review", any_of=["decision"], payload_type=Decision, deps=["crunch"])
    )


async def insert_in_all_ways(
    engine: Engine,
    plain: asyncpg.Connection[Any],
    session: AsyncSession,
    connection: AsyncConnection,
) -> list[Job]:
    jobs = await flow().insert(engine=engine)
    await flow().insert(engine="default")
    await flow().insert(conn=plain)
    await insert_all([flow(), flow()], conn=session, engine=engine)
    assert_type(await send_event(UUID(int=1), "x", {"n": 1}, conn=connection), Delivery)
    return jobs


async def ask(engine: Engine, workflow_id: UUID) -> Completion | None:
    handle = engine.workflow(workflow_id)
    assert_type(handle, WorkflowHandle)
    assert_type(await handle.result("crunch", int), int)
    assert_type(await handle.output(Decision), Decision)
    assert_type(await handle.status(), WorkflowDetail)
    assert_type(await handle.steps(limit=5), Page[StepRow])
    assert_type(await handle.cancel("enough"), int)
    assert_type(await handle.cancel_wait("review"), bool)
    assert_type(await handle.usage(), WorkflowUsage)
    assert_type(await handle.captures(), Page[Capture])
    assert_type(await handle.waiting_steps(prompted=True), Page[WaitingStep])
    assert_type((await handle.usage()).cost, Decimal)
    assert_type(engine.insights, Insights)
    queue = engine.queue("io")
    assert_type(queue, QueueHandle)
    queue.pause()
    queue.scale(3)
    try:
        return await handle.completion(timeout=5)
    except CompletionTimeoutError as error:
        assert_type(error.timeout, float)
        assert_type([step.name for step in error.steps], list[str])
    except UnknownWorkflowError as error:
        assert_type(error.workflow_id, UUID)
    return await flow().completion(timeout=1)
