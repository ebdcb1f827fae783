"""A user's slips, each of which type checkers must refuse: a comment that is not needed is an error
of theirs. `make types` checks it with mypy and pyright.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg
from pydantic import BaseModel

from baton import (
    Baton,
    Engine,
    Step,
    StepRef,
    WaitEvents,
    WaitOutcome,
    Worker,
    insert_all,
    send_event,
    worker,
)


async def by_position(engine: Engine, flow: Baton) -> None:
    await flow.insert(engine)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await insert_all([flow], engine)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await engine.workflow(UUID(int=1)).completion(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def what_is_no_connection(pool: asyncpg.Pool[asyncpg.Record], flow: Baton) -> None:
    await flow.insert(conn=pool)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await send_event(UUID(int=1), "x", conn="postgresql://")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def what_is_no_engine(flow: Baton) -> None:
    await flow.insert(engine=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def a_wait_that_may_end_otherwise(step: Step) -> object:
    found = await step.wait_any("x")
    return found.events  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


async def a_payload_of_another_type(step: Step) -> WaitOutcome[str] | str:
    found = await step.wait_any("x", payload_type=int)
    if isinstance(found, WaitEvents):
        return found["x"]  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
    return found  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


async def an_old_place(engine: Engine, workflow_id: UUID) -> None:
    await engine.completion(workflow_id)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    engine.pause("io")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


class Page(BaseModel):
    words: list[str]


@worker
async def fetch(step: Step, *, url: str) -> Page:
    return Page(words=[url])


@worker(queue="io")
async def count(step: Step, *, words: list[str]) -> int:
    return len(words)


class Count(Worker):
    words: list[str]

    async def perform(self, step: Step) -> int:
        return len(self.words)


def edges_that_do_not_fit(flow: Baton) -> StepRef[str]:
    page = flow.step("page", fetch.new(url="a.example"))
    count.new(words=page.output)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    count.new(words=page.output.wrods)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    count.new(word=page.output.words)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    count.new(words=page)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # mypy's pydantic plugin types the fields only with its setting init_typed.
    Count(words=page.output)  # pyright: ignore[reportArgumentType]
    flow.step("called", fetch)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    flow.step("dep", fetch.new(url=""), deps=[3])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType, reportCallIssue]
    flow.step("option", fetch.new(url=""), quue="io")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    return flow.step("count", count.new(words=page.output.words))  # type: ignore[arg-type]  # pyright: ignore[reportReturnType]
