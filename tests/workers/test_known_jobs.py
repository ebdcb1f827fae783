"""An engine answers for a job from its claim until its outcome is written: nobody rescues it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from baton.runtime.ledger_protocol import Reply
from baton.runtime.producer import Producer
from baton.words.config import EngineSettings
from baton.words.rows import ClaimedJob, Demand, Outcome
from baton.words.states import JobState
from support.waiting import DEADLINE

JOB = ClaimedJob(7, datetime(2026, 1, 1), "default", "w", "{}", "{}", 1, 20, None)  # noqa: DTZ001


class Slow:
    """Gives one job out; performing it and writing its outcome take as long as the test wants."""

    def __init__(self) -> None:
        self.performing, self.perform_on = asyncio.Event(), asyncio.Event()
        self.writing, self.write_on = asyncio.Event(), asyncio.Event()
        self.given = False

    async def perform(self, job: ClaimedJob) -> Outcome:
        self.performing.set()
        await self.perform_on.wait()
        return Outcome(job.id, job.attempted_at, job.attempt, JobState.COMPLETED, result="null")

    async def settle(
        self,
        outcomes: Sequence[Outcome],
        demands: Sequence[Demand],
        lock_timeout: float | None = None,
    ) -> Reply:
        if outcomes:
            self.writing.set()
            await self.write_on.wait()
        if self.given:
            return Reply()
        self.given = True
        return Reply([JOB])

    async def find_refused_claims(
        self, queue: str, limit: int, left_out: Sequence[int]
    ) -> Sequence[tuple[int, Exception]]:
        raise AssertionError("no claim is refused")

    async def try_claims(self, job_ids: Sequence[int]) -> Sequence[tuple[int, Exception]]:
        raise AssertionError("no claim is refused")


async def test_a_job_is_known_until_its_outcome_is_written() -> None:
    ledger = Slow()
    producer = Producer(EngineSettings(queues={"default": 1}), ledger)
    producer.open()
    async with asyncio.timeout(DEADLINE):
        await ledger.performing.wait()
        assert producer.known_ids == [7]
        ledger.perform_on.set()
        await ledger.writing.wait()
        assert producer.known_ids == [7]
        ledger.write_on.set()
        assert await producer.flush(DEADLINE) == 0
    assert producer.known_ids == []
    await producer.close()
