"""Writes what the hot path does not: outcomes that leave a job unfinished or failed, and those of
steps that add steps.

Invariant: what was written is noted until the whole call has succeeded, and left out when the call
is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

from baton.settling.grow import settle_grown
from baton.settling.settle_failures import hold, settle_failures
from baton.settling.suspend import suspend
from baton.store.faults import is_connection_loss
from baton.store.jobs import find_requeued, requeue_jobs
from baton.store.store import Store
from baton.words.effects import Effects
from baton.words.rows import Claim, Growth, Outcome
from baton.words.states import JobState

_REQUEUED = frozenset({JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYABLE})
_FAILED = frozenset({JobState.CANCELLED, JobState.DISCARDED})


class Unfinished:
    """What the calls of one engine's ledger have written so. `doubtful` are its claims whose
    outcomes were handed to a call without a reply.
    """

    def __init__(self, database: Store, doubtful: set[Claim]) -> None:
        self._database = database
        self._doubtful = doubtful
        self._written: dict[Claim, bool] = {}
        self._effects: list[Effects] = []
        self._echoes: list[Claim] = []

    async def settle(self, database: Store, outcomes: Sequence[Outcome], notify: bool) -> list[str]:
        """Write what is not written yet; returns the queues with jobs left available."""
        unwritten = [o for o in outcomes if (o.job_id, o.attempted_at) not in self._written]
        outcomes = self._latest(unwritten)
        released: list[str] = []
        requeued = [o for o in outcomes if o.state in _REQUEUED]
        if requeued:
            self._note(requeued, await self._requeue(database, requeued, notify))
        held = [o for o in outcomes if o.state is JobState.SUSPENDED and o.wait is None]
        if held:
            released += self._written_with(held, await hold(database, held, notify=notify))
        waiting = [o for o in outcomes if o.state is JobState.SUSPENDED and o.wait is not None]
        if waiting:
            released += self._written_with(waiting, await suspend(database, waiting, notify=notify))
        for grown in outcomes:
            if grown.growth is not None:
                released += await self._settle_grown(database, grown, grown.growth, notify)
        failed = [o for o in outcomes if o.state in _FAILED]
        if failed:
            effects = await settle_failures(database, failed, notify=notify)
            released += self._written_with(failed, effects)
        return released

    async def _settle_grown(
        self, database: Store, outcome: Outcome, growth: Growth, notify: bool
    ) -> Sequence[str]:
        effects, echo = await settle_grown(database, outcome, growth, notify=notify)
        if echo:
            self._echoes.append((outcome.job_id, outcome.attempted_at))
        return self._written_with([outcome], effects)

    def _latest(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Without those of jobs that this engine has claimed again since: they are too late, and
        what follows is told by job. One that was perhaps written is still looked for.
        """
        latest = {o.job_id: o.attempted_at for o in sorted(outcomes, key=lambda o: o.attempted_at)}
        kept: list[Outcome] = []
        for one in outcomes:
            if one.attempted_at == latest[one.job_id] or (
                (one.job_id, one.attempted_at) in self._doubtful
            ):
                kept.append(one)
            else:
                self._note([one], frozenset())
        return kept

    async def _requeue(
        self, database: Store, outcomes: Sequence[Outcome], notify: bool
    ) -> set[int]:
        try:
            written = await requeue_jobs(database, outcomes, notify=notify)
            doubtful = [o for o in outcomes if (o.job_id, o.attempted_at) in self._doubtful]
            if doubtful:
                missing = [o for o in doubtful if o.job_id not in written]
                written |= await find_requeued(self._database, missing)
        except Exception as error:
            if is_connection_loss(error):
                self._doubtful.update((o.job_id, o.attempted_at) for o in outcomes)
            raise
        self._doubtful.difference_update((o.job_id, o.attempted_at) for o in doubtful)
        return written

    def _written_with(self, outcomes: Sequence[Outcome], effects: Effects) -> Sequence[str]:
        self._note(outcomes, effects.accepted)
        self._effects.append(effects)
        return effects.released

    def _note(self, outcomes: Sequence[Outcome], accepted: set[int] | frozenset[int]) -> None:
        for outcome in outcomes:
            self._written[outcome.job_id, outcome.attempted_at] = outcome.job_id in accepted

    def take_stale(self, outcomes: Sequence[Outcome]) -> set[Claim]:
        """Of the outcomes of a call that has succeeded, those whose claim was lost."""
        if not self._written:
            return set()
        claims = [(outcome.job_id, outcome.attempted_at) for outcome in outcomes]
        return {claim for claim in claims if self._written.pop(claim, True) is False}

    def take_effects(self) -> list[Effects]:
        """What is to be told of."""
        effects, self._effects = self._effects, []
        return effects

    def take_echoes(self) -> list[Claim]:
        """The claims that were found written: what came of that was not told."""
        echoes, self._echoes = self._echoes, []
        return echoes
