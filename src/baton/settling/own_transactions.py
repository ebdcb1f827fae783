"""Settles steps in their own transactions: what such a step wrote, its outcome and all that follows
from it are one commit.

Idea: the statement of the hot path, for one outcome and without claims, on the step's connection,
then COMMIT. What came of it is kept until the outcome comes through the outbox, where all others
are emitted: the ledger writes it no second time.

Invariant: committed under the claim, or rolled back. The fence is checked under the workflow's lock
in the same transaction, so whoever takes the step away from this attempt does so before, and then
nothing of it is kept, or after, and then it has completed.

Failures that it survives: see `StepTransaction.commit` for the lost reply. What passes (an outage,
somebody's lock, a lost race) says nothing of the step: its job goes back. What the database refuses
is an error that the attempt raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from baton.runtime.tasks import done_whatever
from baton.settling.grow import grow_in
from baton.store.faults import is_lock_timeout, is_notify_queue_full, is_outage
from baton.store.growing import Growing
from baton.store.jobs import Claimant, Settled, settle_and_claim
from baton.store.step_transactions import StepTransaction, UncommittedError
from baton.store.store import Store
from baton.store.translating import said
from baton.telemetry import seam
from baton.words.rows import Claim, Growth, Outcome
from baton.words.states import JobState


class OwnTransactions:
    """What one engine settled so."""

    def __init__(self, database: Store, claimant: Callable[[], Claimant], *, notify: bool) -> None:
        self._database = database
        self._claimant = claimant
        self._notify = notify
        self._settled: dict[Claim, Settled] = {}

    async def commit(self, outcome: Outcome, transaction: StepTransaction) -> None:
        """Settle a completed step and commit; roll back where its claim was lost. A cancellation
        does not cut it short: what was committed is told. Raises UncommittedError, and what the
        database refuses; then nothing was written.
        """
        await done_whatever(self._commit(outcome, transaction))

    async def _commit(self, outcome: Outcome, transaction: StepTransaction) -> None:
        notifications = self._database.notifications
        traced = seam.tracer is not None
        if traced:
            outcome = outcome._replace(trace=seam.attempt_trace())
        try:
            await transaction.settling()
            notify = self._notify and not notifications.muted
            if outcome.growth is not None:
                settled = await self._grow(outcome, outcome.growth, transaction, notify)
            else:
                settled = await settle_and_claim(
                    transaction, [outcome], [], self._claimant(), notify=notify, traced=traced
                )
            if settled.stale:
                await transaction.roll_back()
            else:
                await transaction.commit()
        except Exception as error:
            full = is_notify_queue_full(error)
            if full:
                await notifications.relieve()
            if full or is_outage(error) or is_lock_timeout(error):
                what = f"the transaction of a step was rolled back: {said(error)}"
                raise UncommittedError(what, refused=True) from error
            raise
        self._settled[outcome.job_id, outcome.attempted_at] = settled

    async def _grow(
        self, outcome: Outcome, growth: Growth, transaction: StepTransaction, notify: bool
    ) -> Settled:
        growing = Growing(transaction.statements, self._database.sql, notify=notify)
        effects, _ = await grow_in(growing, outcome, growth)
        return Settled(
            [],
            [] if effects.accepted else [(outcome.job_id, outcome.attempted_at)],
            list(effects.completions),
            list(effects.released),
            effects.waits,
            effects.cancelled,
            effects.grown,
        )

    def among(self, outcomes: Sequence[Outcome]) -> Mapping[Claim, Settled]:
        """Those of these outcomes that were settled so, or found stale."""
        if not self._settled:
            return {}
        claims = [(o.job_id, o.attempted_at) for o in outcomes if o.state is JobState.COMPLETED]
        return {claim: self._settled[claim] for claim in claims if claim in self._settled}

    def forget(self, claims: Mapping[Claim, Settled]) -> None:
        """These were told."""
        for claim in claims:
            self._settled.pop(claim, None)
