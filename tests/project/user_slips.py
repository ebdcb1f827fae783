"""A user's slips, each of which type checkers must refuse: a comment that is not needed is an error
of theirs. `make types` checks it with mypy and pyright.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

from baton import Baton, Engine, Step, WaitEvents, WaitOutcome, insert_all, send_event


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
