"""Keeps the books for an engine: settles what it hands in, emits what came of it, brings the next
jobs.

Idea: one call of `settle` is a few transactions: first outcomes that leave a job unfinished or
failed (requeued, held, suspended, failed), each kind in one, and each that adds steps in its own;
then `baton_settle_and_claim`, which completes the rest and claims. The call may fail between any
two of them, and may be repeated as it was.

Invariant: an outcome is written once. Every write is fenced on its claim, (job id, attempted_at);
what a failed call has written is noted (see `Unfinished`) and left out when the call is repeated,
and a fence that no longer holds makes an outcome stale. Effects are emitted once, after their
commit, by the process that committed them.

Failures that it survives: a reply that is lost. Nobody knows whether that call was committed, so
its outcomes count as doubtful: repeated, a completed one answers as its own echo, and the ends of
workflows that it recorded are looked up and emitted. Jobs that it claimed are found again by the
call's number in `attempted_by`, for as long as it may still commit. Somebody's lock: what it holds
up comes back as blocked, everything else is written.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from itertools import count
from time import monotonic
from uuid import UUID

from baton.performing.perform import Performer
from baton.runtime.ledger_protocol import Reply
from baton.settling.own_transactions import OwnTransactions
from baton.settling.settle_unfinished import Unfinished
from baton.settling.wait_events import emit_settled_waits
from baton.store.dedicated import Dedicated
from baton.store.faults import is_connection_loss, is_lock_timeout
from baton.store.hurried import Hurried
from baton.store.jobs import (
    Claimant,
    Settled,
    find_blocked,
    find_cancelled_claims,
    read_claims,
    read_lost_ends,
    settle_and_claim,
)
from baton.store.lock_holders import Watch
from baton.store.refused_claims import find_refused_claims, try_claims
from baton.store.store import Store
from baton.telemetry import seam
from baton.telemetry.insertions import emit_grown
from baton.words.database_errors import DatabaseError
from baton.words.engine_errors import EngineStateError
from baton.words.rows import (
    Announced,
    CancelledStep,
    Claim,
    ClaimedJob,
    Demand,
    Outcome,
)
from baton.words.states import JobState

_log = logging.getLogger("baton")

SHORT_WAIT = 0.05
"""Seconds for which outcomes wait for a lock while others are known to be blocked."""

LOOK_FOR_LOST = 30.0
"""Seconds for which the claims of a call whose reply was lost are looked for; what turns up later
is left to the rescue.
"""


class WorkflowLedger:
    """The engine's ledger. Completed steps take the hot path; everything else is
    written before it.
    """

    def __init__(
        self,
        database: Store,
        performer: Performer,
        claimant: Claimant | None = None,
        *,
        notify: bool,
        on_finished: Callable[[Sequence[Announced]], None],
        on_cancelled: Callable[[Sequence[CancelledStep]], None],
    ) -> None:
        self._database = database
        self._performer = performer
        self.claimant = claimant
        """Who claims; set before anything is claimed."""
        self._notify = notify
        self._own = OwnTransactions(database, self._claimant, notify=notify)
        self._on_finished = on_finished
        self._on_cancelled = on_cancelled
        self._lanes: list[Dedicated] = []
        self._blocked: frozenset[int] = frozenset()
        self._calls = count(1)
        self._lost: dict[str, float] = {}
        self._doubtful: set[Claim] = set()
        """Claims whose outcomes were handed to a call without a reply."""
        self._unfinished = Unfinished(database, self._doubtful)
        self._sought: list[Claim] = []
        """Claims that such a call may have completed; what it ended with them is to be told."""
        self._emitted_ends: set[UUID] = set()
        """Ends that calls with a reply have recorded since."""

    async def perform(self, job: ClaimedJob) -> Outcome:
        return await self._performer.perform(job, self._own.commit)

    async def settle(
        self,
        outcomes: Sequence[Outcome],
        demands: Sequence[Demand],
        lock_timeout: float | None = None,
    ) -> Reply:
        """Settle and claim. A call that fails half-way may be repeated: what was written is not
        written again.

        With a `lock_timeout` a single outcome that waits in vain comes back with the holders of the
        lock. Many of them come back blocked where a lock on their own rows can be seen; any other
        lock raises, and the caller finds out by halves which outcome needs it.
        """
        if lock_timeout is not None and len(outcomes) == 1 and not demands:
            return await self._settle_watched(outcomes[0], lock_timeout)
        # Waiting for a lock would hold up all outcomes of the batch, again at every try.
        blocked = self._blocked.intersection(o.job_id for o in outcomes)
        try:
            if not blocked:
                return await self._notifying(self._hurried(lock_timeout), outcomes, demands)
        except Exception as error:
            if not is_lock_timeout(error):
                raise
            blocked = await self._find_blocked(outcomes)
            if not blocked:
                raise
        else:
            blocked = await self._find_blocked(outcomes)
        others = [o for o in outcomes if o.job_id not in blocked]
        reply = await self._notifying(self._hurried(SHORT_WAIT), others, demands)
        return reply._replace(blocked=blocked)

    async def _settle_watched(self, outcome: Outcome, lock_timeout: float) -> Reply:
        hurried = Hurried(self._database, lock_timeout)
        watch = Watch(self._database, hurried)
        began = monotonic()
        try:
            return await watch.over(self._notifying(hurried, [outcome], []))
        except Exception as error:
            # Somebody's trigger may raise the same without any wait: then it is a refusal.
            if not is_lock_timeout(error) or monotonic() - began < lock_timeout:
                raise
        return Reply(blocked=await self._find_blocked([outcome]), holders=watch.holders)

    def _hurried(self, lock_timeout: float | None) -> Store:
        return self._database if lock_timeout is None else Hurried(self._database, lock_timeout)

    async def _find_blocked(self, outcomes: Sequence[Outcome]) -> frozenset[int]:
        ids = [o.job_id for o in outcomes]
        blocked = await find_blocked(self._database, ids)
        self._blocked = self._blocked.difference(ids) | blocked
        return blocked

    async def _notifying(
        self, database: Store, outcomes: Sequence[Outcome], demands: Sequence[Demand]
    ) -> Reply:
        write = partial(self._settle, database, outcomes, demands)
        return await self._database.notifications.send(write, self._notify)

    async def _settle(
        self,
        database: Store,
        outcomes: Sequence[Outcome],
        demands: Sequence[Demand],
        notify: bool,
    ) -> Reply:
        own = self._own.among(outcomes)
        if own:
            outcomes = [o for o in outcomes if (o.job_id, o.attempted_at) not in own]
        completed = [o for o in outcomes if o.state is JobState.COMPLETED and o.growth is None]
        released: list[str] = []
        if len(completed) < len(outcomes):
            released = await self._unfinished.settle(database, outcomes, notify)
        found = await self._find_claimed() if self._lost and demands else []
        reply = Settled([], [], [], [])
        try:
            if completed or demands:
                reply = await self._settle_completed(database, completed, demands, notify)
        except BaseException:
            # Looked for again: until then they may have been rescued.
            for call, _ in found:
                self._lost[call] = monotonic() + LOOK_FOR_LOST
            raise
        stale = {*reply.stale, *self._unfinished.take_stale(outcomes)}
        for settled in own.values():
            stale.update(settled.stale)
            released += settled.released
        self._own.forget(own)
        if self._doubtful and completed:
            self._seek(completed, reply)
        self._sought += self._unfinished.take_echoes()
        if self._sought:
            self._emitted_ends.update(workflow_id for workflow_id, _ in reply.completions)
            reply.completions.extend(await self._find_lost_ends())
        emit = partial(self._emit, [*own.values(), reply])
        return Reply(
            [*(job for _, job in found), *reply.jobs],
            frozenset(stale),
            await self._find_cancelled(stale),
            released=[*released, *reply.released],
            emit=emit,
        )

    async def find_refused_claims(
        self, queue: str, limit: int, left_out: Sequence[int]
    ) -> Sequence[tuple[int, Exception]]:
        engine = self._claimant().engine
        return await find_refused_claims(self._database, engine, queue, limit, left_out)

    async def try_claims(self, job_ids: Sequence[int]) -> Sequence[tuple[int, Exception]]:
        return await try_claims(self._database, self._claimant().engine, job_ids)

    def close(self) -> None:
        """Drop the connections of the hot path, and end the threads of steps."""
        self._performer.close()
        while self._lanes:
            self._lanes.pop().drop()

    async def _settle_completed(
        self,
        database: Store,
        completed: Sequence[Outcome],
        demands: Sequence[Demand],
        notify: bool,
    ) -> Settled:
        claimant = self._claimant()._replace(call=str(next(self._calls)))
        settle = partial(
            settle_and_claim,
            completed=completed,
            demands=demands,
            claimant=claimant,
            notify=notify,
            traced=seam.tracer is not None,
        )
        try:
            if isinstance(database, Hurried):
                return await settle(database)
            return await self._on_lane(settle)
        except Exception as error:
            if is_connection_loss(error):
                self._lost[claimant.call] = monotonic() + LOOK_FOR_LOST
                self._doubt(completed)
            raise

    async def _on_lane(self, settle: Callable[[Dedicated], Awaitable[Settled]]) -> Settled:
        # A connection kept for this one statement: borrowing one from the pool and giving it back
        # for every batch cost a fifth of a short chain's time.
        lane = self._lanes.pop() if self._lanes else self._database.dedicated("baton-settler")
        try:
            await lane.connect()
            return await settle(lane)
        finally:
            self._lanes.append(lane)

    async def _find_cancelled(self, stale: Collection[Claim]) -> frozenset[Claim]:
        """Of stale claims, those lost because the job was cancelled, or completed by hand, while it
        ran.
        """
        if not stale:
            return frozenset()
        try:
            return await find_cancelled_claims(self._database, list(stale))
        except DatabaseError as error:
            # What is settled is settled: then the events call the outcomes fenced.
            _log.warning("looking for what became of lost claims failed: %s", error)
            return frozenset()

    def _doubt(self, outcomes: Sequence[Outcome]) -> None:
        self._doubtful.update((o.job_id, o.attempted_at) for o in outcomes)

    def _seek(self, completed: Sequence[Outcome], reply: Settled) -> None:
        """Of these, what a call without a reply may have completed before."""
        claims = self._doubtful.intersection((o.job_id, o.attempted_at) for o in completed)
        self._doubtful -= claims
        self._sought += claims.difference(reply.stale)

    async def _find_lost_ends(self) -> list[Announced]:
        """The ends that calls without a reply recorded: nobody else tells of them."""
        sought, self._sought = self._sought, []
        try:
            found = await read_lost_ends(self._database, sought)
        except DatabaseError as error:
            # The next settlement asks again.
            self._sought += sought
            _log.warning("looking for the ends of workflows failed, trying again: %s", error)
            return []
        emitted, self._emitted_ends = self._emitted_ends, set()
        return [end for end in found if end[0] not in emitted]

    async def _find_claimed(self) -> list[tuple[str, ClaimedJob]]:
        """Look for jobs claimed by calls whose replies were lost.

        Such a call may commit later still, so it is looked for again, but by one settlement at a
        time: a job must not be found twice.
        """
        lost, self._lost = self._lost, {}
        found: list[tuple[str, ClaimedJob]] = []
        try:
            found = await read_claims(self._database, self._claimant(), list(lost))
        finally:
            # One call is one commit: what is found of it is all of it.
            heard, now = {call for call, _ in found}, monotonic()
            self._lost.update((c, end) for c, end in lost.items() if c not in heard and end > now)
        return found

    def _claimant(self) -> Claimant:
        if self.claimant is None:
            raise EngineStateError("new", "running", "claiming")
        return self.claimant

    def _emit(self, replies: Sequence[Settled]) -> None:
        """Emit settled waits, cancelled and skipped steps, then ended workflows."""
        unemitted = self._unfinished.take_effects()
        for reply in replies:
            emit_settled_waits(self._database.engine, reply.waits)
            emit_grown(self._database.engine, reply.grown)
            if reply.skipped:
                self._on_cancelled(reply.skipped)
        for effects in unemitted:
            emit_settled_waits(self._database.engine, effects.waits)
            emit_grown(self._database.engine, effects.grown)
            if effects.cancelled:
                self._on_cancelled(effects.cancelled)
        ended = [effects.completions for effects in unemitted]
        for completions in (*ended, *(reply.completions for reply in replies)):
            if completions:
                self._on_finished(completions)
