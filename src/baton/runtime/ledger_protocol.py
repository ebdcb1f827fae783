"""What the engine asks of whoever keeps the books: perform a job, settle outcomes, bring the next
jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from baton.words.rows import Claim, ClaimedJob, Demand, Outcome


def nothing() -> None:
    """There is nothing to emit."""


class Reply(NamedTuple):
    """What a settlement brought: claimed jobs, claims of stale outcomes (`cancelled` are those of
    them whose jobs were cancelled while they ran), ids of outcomes that could not be written yet
    because somebody holds a lock, queues with jobs left available; and how its effects are emitted,
    after the outcomes themselves. `holders` says who holds the lock for which a single outcome
    waited in vain, None when none did.
    """

    jobs: Sequence[ClaimedJob] = ()
    stale: frozenset[Claim] = frozenset()
    cancelled: frozenset[Claim] = frozenset()
    blocked: frozenset[int] = frozenset()
    holders: str | None = None
    released: Sequence[str] = ()
    emit: Callable[[], None] = nothing


class Ledger(Protocol):
    async def perform(self, job: ClaimedJob) -> Outcome:
        """Run one job to its outcome. Raises only what the engine itself caused: its own
        interruption.
        """
        ...

    async def settle(
        self,
        outcomes: Sequence[Outcome],
        demands: Sequence[Demand],
        lock_timeout: float | None = None,
    ) -> Reply:
        """Write outcomes, fenced, and claim up to the demanded room. Safe to repeat after a
        failure. `lock_timeout` bounds the wait for locks, in seconds; None: as always.
        """
        ...

    async def find_refused_claims(
        self, queue: str, limit: int, left_out: Sequence[int]
    ) -> Sequence[tuple[int, Exception]]:
        """Of the next `limit` jobs that a claim would take, those whose claim is refused."""
        ...

    async def try_claims(self, job_ids: Sequence[int]) -> Sequence[tuple[int, Exception]]:
        """Of these jobs, those whose claim is refused. Claims nothing."""
        ...
