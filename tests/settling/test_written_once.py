"""What one engine holds and writes: no more jobs than its queues allow, no outcome twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from baton import Baton
from baton.core.outcome import Ending, outcome
from baton.runs.actions import told
from baton.runs.retry import asked, retry_workflow
from baton.runtime.ledger_protocol import Reply
from baton.runtime.producer import Producer
from baton.settling import settle_and_claim as ledgers
from baton.store.jobs import settle_and_claim
from baton.words.config import EngineSettings
from baton.words.rows import ClaimedJob, Demand, Outcome
from baton.words.states import JobState
from races.arena import arena, noop, roots
from races.rescuing import ledger
from support.waiting import DEADLINE


def job(job_id: int, queue: str = "default") -> ClaimedJob:
    return ClaimedJob(job_id, datetime(2026, 1, 1), queue, "w", "{}", "{}", 1, 20, None)  # noqa: DTZ001


class Generous:
    """Gives out more jobs than were asked for: claims found again come beside new ones."""

    def __init__(self, jobs: Sequence[ClaimedJob]) -> None:
        self._jobs = list(jobs)
        self.performing: list[int] = []
        self.settled: list[Outcome] = []
        self.full, self.returned = asyncio.Event(), asyncio.Event()
        self.go_on = asyncio.Event()
        self._expected = 0

    async def perform(self, job: ClaimedJob) -> Outcome:
        self.performing.append(job.id)
        self.full.set()
        await self.go_on.wait()
        return Outcome(job.id, job.attempted_at, job.attempt, JobState.COMPLETED, result="null")

    async def settle(
        self,
        outcomes: Sequence[Outcome],
        demands: Sequence[Demand],
        lock_timeout: float | None = None,
    ) -> Reply:
        self.settled += outcomes
        if any(o.state is JobState.AVAILABLE for o in outcomes):
            self.returned.set()
        given, self._jobs = self._jobs, []
        return Reply(given)

    async def find_refused_claims(
        self, queue: str, limit: int, left_out: Sequence[int]
    ) -> Sequence[tuple[int, Exception]]:
        return []

    async def try_claims(self, job_ids: Sequence[int]) -> Sequence[tuple[int, Exception]]:
        return []


@pytest.mark.parametrize("paused", [False, True])
async def test_jobs_beyond_the_queues_limit_go_back_unperformed(paused: bool) -> None:
    jobs = [job(number) for number in range(1, 6)] + [job(9, "other")]
    giver = Generous(jobs)
    producer = Producer(EngineSettings(queues={"default": 2, "other": 1}), giver)
    producer.queues["default"].paused = paused
    producer.open()
    async with asyncio.timeout(DEADLINE):
        await giver.full.wait()
        await giver.returned.wait()
        assert producer.queues["default"].running == (0 if paused else 2)
        giver.go_on.set()
        assert await producer.flush(DEADLINE) == 0
        await producer.executor.drained(DEADLINE)
        assert await producer.flush(DEADLINE) == 0
    await producer.close()
    begun = [9] if paused else [1, 2, 9]
    assert sorted(giver.performing) == begun
    back = [o for o in giver.settled if o.state is JobState.AVAILABLE]
    assert sorted(o.job_id for o in back) == sorted({j.id for j in jobs} - {*begun})
    assert {o.attempt_change for o in back} == {-1}
    assert len(giver.settled) == len(jobs)


ENDINGS: dict[str, tuple[Ending, dict[str, Any], str]] = {
    "retried": (Ending.RAISED, {"error": "e", "delay": 600.0}, "retryable"),
    "discarded": (Ending.DISCARDED, {"error": "e"}, "discarded"),
    "held": (Ending.HELD, {}, "available"),
    "released": (Ending.INTERRUPTED, {}, "available"),
}


@pytest.mark.parametrize("kind", ENDINGS)
async def test_what_was_written_before_a_failure_is_not_written_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The call fails between the outcomes that do not complete and those that do, and is repeated:
    what it wrote is accepted, and nobody who claimed the job since is disturbed.
    """
    ending, fields, state = ENDINGS[kind]
    failed = 0

    async def failing(*args: Any, **options: Any) -> Any:
        nonlocal failed
        failed += 1
        if failed <= 2:
            raise ConnectionResetError("lost before the settlement")
        return await settle_and_claim(*args, **options)

    monkeypatch.setattr(ledgers, "settle_and_claim", failing)
    async with arena(dsn) as ring, ledger(ring.left) as books:
        (first, second) = await ring.insert(roots(1), Baton().add("c", noop.new()))
        await ring.claim()
        ended = outcome(ring.claims[first["r1"]], ending, **fields)
        outcomes = [ended, *ring.done(second["c"])]
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                await books.settle(outcomes, [])
            assert await ring.states([first["r1"], second["c"]]) == [state, "executing"]
        reply = await books.settle(outcomes, [])
        assert reply.stale == frozenset()
        assert await ring.states([first["r1"], second["c"]]) == [state, "completed"]
        errors = await ring.monitor.fetchval(
            "SELECT jsonb_array_length(to_jsonb(errors)) FROM baton.oban_jobs WHERE id = $1",
            first["r1"],
        )
        assert errors == ("error" in fields)
        # Nothing is remembered of it: the same outcome by another call is stale.
        assert (await books.settle([ended], [])).stale == {(ended.job_id, ended.attempted_at)}


async def test_of_two_attempts_at_a_step_the_former_settles_nothing(dsn: str) -> None:
    """An engine hands in what it held before a retry together with what it claimed after it."""
    async with arena(dsn) as ring, ledger(ring.left) as books:
        (workflow,) = await ring.insert(roots(1))
        job_id = workflow["r1"]
        await ring.claim()
        former = outcome(ring.claims[job_id], Ending.DISCARDED, error="broken")
        again = asked("all", None, None, keep_memos=False, interrupt=True)
        await retry_workflow(ring.left, workflow.id, again, told(None, None), notify=False)
        await ring.claim()
        latter = outcome(ring.claims[job_id], Ending.SKIPPED, error="not needed")
        reply = await books.settle([former, latter], [])
        assert reply.stale == {(job_id, former.attempted_at)}
        state = "SELECT state::text FROM baton.workflow_nodes WHERE job_id = $1"
        assert await ring.monitor.fetchval(state, job_id) == "skipped"
