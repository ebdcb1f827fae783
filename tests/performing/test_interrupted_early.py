"""What reaches a step or an engine in the moment before anything of it has run."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from datetime import datetime

from baton import subscribe
from baton.events import EngineStarted, Event
from baton.runtime.executor import Execution, Executor
from baton.runtime.ledger_protocol import Reply
from baton.telemetry import seam
from baton.words.rows import ClaimedJob, Demand, Outcome
from baton.words.states import JobState


class Ledger:
    """Performs nothing: whoever gets here has been started."""

    def __init__(self) -> None:
        self.performed: list[int] = []

    async def perform(self, job: ClaimedJob) -> Outcome:
        self.performed.append(job.id)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def settle(self, outcomes: list[Outcome], demands: list[Demand]) -> Reply:
        return Reply()


def claimed(job_id: int) -> ClaimedJob:
    return ClaimedJob(job_id, datetime(2026, 1, 1), "default", "w", "{}", "{}", 1, 20, None)  # noqa: DTZ001


async def test_an_interrupt_before_the_first_turn_gives_the_slot_back() -> None:
    ended: asyncio.Queue[Execution] = asyncio.Queue()
    executor = Executor("default", Ledger(), ended.put_nowait)  # type: ignore[arg-type]
    executor.start(claimed(1), copy_context())
    assert executor.interrupt_claims(executor.claims) == 1
    async with asyncio.timeout(5):
        execution = await ended.get()
    assert execution.outcome is not None
    assert (execution.outcome.state, execution.outcome.attempt_change) == (JobState.AVAILABLE, -1)
    assert len(executor) == 0
    assert await executor.drained(1)


async def test_a_subscriber_that_raises_a_cancellation_hurts_nobody() -> None:
    heard: list[Event] = []

    def cancels(_: Event) -> None:
        raise asyncio.CancelledError

    unsubscribe = [subscribe(cancels), subscribe(heard.append)]
    try:
        seam.emit(EngineStarted("default", ()))
    finally:
        for undo in unsubscribe:
            undo()
    assert len(heard) == 1
