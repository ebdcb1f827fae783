"""Rescues executing jobs that nobody runs, and interrupts running ones whose claim is lost.

An orphan is known by the silence of its engine, never by age or host name: a slow step of a live
engine is left alone. A rescue gives the attempt back; rescues are counted apart, and a job rescued
too often is discarded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from baton.engine import telemetry
from baton.engine.ledger import Ledger
from baton.engine.producer import Producer
from baton.store.database import Database
from baton.store.faults import is_content_fault
from baton.store.jobs import Orphan, find_lost_claims, find_orphans
from baton.words.config import EngineSettings
from baton.words.events import JobsRescued, StepDiscarded
from baton.words.rows import Outcome
from baton.words.states import JobState

_log = logging.getLogger("baton")

BATCH = 500


class Rescuer:
    """One pass looks at all orphans, batch by batch."""

    def __init__(
        self,
        database: Database,
        settings: EngineSettings,
        engine_id: UUID,
        ledger: Ledger,
        producer: Producer,
    ) -> None:
        self._database = database
        self._settings = settings
        self._engine_id = engine_id
        self._ledger = ledger
        self._producer = producer

    async def rescue(self) -> None:
        after = 0
        while True:
            orphans = await find_orphans(
                self._database,
                rescue_after=self._settings.rescue_after,
                engine=self._engine_id,
                known=self._producer.known_ids,
                # A claim whose reply was lost can still be committed until its statement times out.
                lost_after=2 * self._settings.command_timeout,
                foreign_after=self._settings.foreign_rescue_after,
                after=after,
                limit=BATCH,
            )
            if orphans:
                after = orphans[-1].id
                await self._return(orphans)
            if len(orphans) < BATCH:
                break
        await self._interrupt_lost()

    async def _return(self, orphans: Sequence[Orphan]) -> None:
        # In two calls: the first may be written when the second fails, and then has to be told of.
        for hopeless in (False, True):
            chosen = [o for o in orphans if self._is_hopeless(o) is hopeless]
            if chosen:
                await self._settle(chosen)

    def _is_hopeless(self, orphan: Orphan) -> bool:
        return orphan.rescues >= self._settings.max_rescues

    async def _settle(self, orphans: Sequence[Orphan]) -> None:
        try:
            reply = await self._ledger.settle([self._outcome(orphan) for orphan in orphans], [])
        except Exception as error:
            if not is_content_fault(error):
                raise
            if len(orphans) == 1:
                _log.exception("orphaned job %s cannot be rescued", orphans[0].id)
            # One bad row must not keep the others.
            for orphan in orphans if len(orphans) > 1 else ():
                await self._settle([orphan])
            return
        rescued = [
            orphan
            for orphan in orphans
            if (orphan.id, orphan.attempted_at) not in reply.stale
            and orphan.id not in reply.blocked
        ]
        if rescued:
            _log.warning("rescued %d jobs of dead engines", len(rescued))
            if telemetry.active:
                self._tell(rescued)
            self._producer.wake()
        reply.tell()

    def _tell(self, rescued: Sequence[Orphan]) -> None:
        job_ids = tuple(orphan.id for orphan in rescued)
        telemetry.emit(JobsRescued(self._settings.name, job_ids))
        for orphan in rescued:
            outcome = self._outcome(orphan)
            if outcome.state is JobState.DISCARDED:
                telemetry.emit(
                    StepDiscarded(
                        job_id=orphan.id,
                        worker=orphan.worker,
                        queue=orphan.queue,
                        attempt=orphan.attempt,
                        workflow_id=orphan.workflow_id,
                        workflow_name=orphan.workflow_name,
                        step=orphan.step,
                        state=outcome.state,
                        duration=orphan.duration,
                        has_result=False,
                        error=outcome.error,
                    )
                )

    def _outcome(self, orphan: Orphan) -> Outcome:
        if orphan.engine == str(self._engine_id):
            reason = "rescued: the reply of its claim, or its outcome, was lost"
        else:
            reason = f"rescued: engine {orphan.engine or 'unknown'} stopped while running it"
        if self._is_hopeless(orphan):
            return Outcome(
                orphan.id,
                orphan.attempted_at,
                orphan.attempt,
                JobState.DISCARDED,
                error=f"{reason}, after {orphan.rescues} rescues",
            )
        return Outcome(
            orphan.id,
            orphan.attempted_at,
            orphan.attempt,
            JobState.AVAILABLE,
            error=reason,
            attempt_change=-1,
        )

    async def _interrupt_lost(self) -> None:
        lost = await find_lost_claims(self._database, self._producer.executor.claims)
        if lost:
            self._producer.executor.interrupt_claims(lost)
