"""Rescues executing jobs that nobody runs, and interrupts running ones whose claim is lost.

An orphan is known by the silence of its engine, or because the process of its engine has ended,
which an engine on the same machine can see; never by age or host name: a slow step of a live engine
is left alone. A rescue gives the attempt back; rescues are counted apart, and a job rescued
too often is discarded.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from time import monotonic
from typing import Protocol
from uuid import UUID

from baton.runtime.ledger_protocol import Ledger
from baton.runtime.processes import Process, is_gone, own_process
from baton.runtime.quarantine import Quarantine, bisect
from baton.store.jobs import (
    Neighbour,
    Orphan,
    find_lost_claims,
    find_orphans,
    forget_engines,
    read_neighbours,
)
from baton.store.store import Store
from baton.telemetry import seam
from baton.words.config import EngineSettings
from baton.words.events import JobsRescued, StepDiscarded
from baton.words.rows import Claim, Outcome
from baton.words.states import JobState

_log = logging.getLogger("baton")

BATCH = 500


class OwnJobs(Protocol):
    """The jobs of the engine that rescues: those it knows are left alone."""

    @property
    def known_ids(self) -> Sequence[int]:
        """The jobs that it answers for: running, or waiting to be settled."""
        ...

    @property
    def claims(self) -> Sequence[Claim]:
        """The claims of the jobs that run."""
        ...

    def interrupt_claims(self, claims: Container[Claim]) -> object:
        """End the running jobs of claims that are lost."""
        ...

    def wake(self) -> object:
        """Look for available jobs: some have been rescued."""
        ...


class Rescuer:
    """One pass looks at all orphans, batch by batch; one that the database refuses to change keeps
    no other.
    """

    def __init__(
        self,
        database: Store,
        settings: EngineSettings,
        engine_id: UUID,
        ledger: Ledger,
        jobs: OwnJobs,
    ) -> None:
        self._database = database
        self._settings = settings
        self._engine_id = engine_id
        self._ledger = ledger
        self._jobs = jobs
        self._process = own_process()
        self._ahead: dict[Claim, float] = {}
        self._refused: Quarantine[int] = Quarantine("orphaned job %s cannot be rescued")

    async def rescue(self) -> None:
        after = 0
        ended, forgotten = await self._find_ended()
        ahead, self._ahead = self._ahead, {}
        due, gone = set(self._refused.take_due()), set(self._refused.ids)
        while True:
            orphans = await find_orphans(
                self._database,
                rescue_after=self._settings.rescue_after,
                engine=self._engine_id,
                known=self._jobs.known_ids,
                # A claim whose reply was lost can still be committed until its statement times out.
                lost_after=self._lost_after,
                foreign_after=self._settings.foreign_rescue_after,
                after=after,
                limit=BATCH,
                gone=ended,
            )
            if orphans:
                after = orphans[-1].id
                gone.difference_update(o.id for o in orphans)
                old = [o for o in orphans if not o.ahead or self._has_waited(o, ahead)]
                await self._return([o for o in old if o.id not in self._refused])
                await self._return([o for o in old if o.id in due])
            if len(orphans) < BATCH:
                break
        self._refused.accept(gone)
        await forget_engines(self._database, [*ended, *forgotten])
        await self._interrupt_lost()

    @property
    def _lost_after(self) -> float:
        return 2 * self._settings.command_timeout

    async def _find_ended(self) -> tuple[list[str], list[str]]:
        """Engines of this machine whose processes have ended, and those silent for very long."""
        here = self._process
        neighbours = await read_neighbours(
            self._database,
            self._engine_id,
            here.place if here else None,
            self._settings.rescue_after,
        )
        ended = [n.id for n in neighbours if here is not None and _has_ended(n, here)]
        return ended, [n.id for n in neighbours if n.forgotten and n.id not in ended]

    def _has_waited(self, orphan: Orphan, seen: dict[Claim, float]) -> bool:
        """Whether a claim "of the future" has been seen for as long as it would have to be old.

        The clock of the database was set back since, so that only one's own clock can tell.
        """
        claim = (orphan.id, orphan.attempted_at)
        first = self._ahead[claim] = seen.get(claim, monotonic())
        own = orphan.engine == str(self._engine_id)
        patience = self._lost_after if own else self._settings.foreign_rescue_after
        return patience is not None and monotonic() - first >= patience

    async def _return(self, orphans: Sequence[Orphan]) -> None:
        # In two calls: the first may be written when the second fails, and then has to be told of.
        for hopeless in (False, True):
            chosen = [o for o in orphans if self._is_hopeless(o) is hopeless]
            await bisect(chosen, self._settle, self._refuse)

    def _is_hopeless(self, orphan: Orphan) -> bool:
        return orphan.rescues >= self._settings.max_rescues

    def _refuse(self, orphan: Orphan, error: Exception) -> None:
        self._refused.refuse(orphan.id, error)

    def _became_known(self, orphan: Orphan) -> bool:
        """Whether the reply of this engine's own claim has come since the look: it runs here."""
        own = orphan.engine == str(self._engine_id)
        return own and orphan.id in self._jobs.known_ids

    async def _settle(self, orphans: Sequence[Orphan]) -> None:
        orphans = [orphan for orphan in orphans if not self._became_known(orphan)]
        if not orphans:
            return
        reply = await self._ledger.settle([self._outcome(orphan) for orphan in orphans], [])
        self._refused.accept(orphan.id for orphan in orphans)
        rescued = [
            orphan
            for orphan in orphans
            if (orphan.id, orphan.attempted_at) not in reply.stale
            and orphan.id not in reply.blocked
        ]
        if rescued:
            _log.warning("rescued %d jobs of dead engines", len(rescued))
            if seam.active:
                self._emit(rescued)
            self._jobs.wake()
        reply.emit()

    def _emit(self, rescued: Sequence[Orphan]) -> None:
        job_ids = tuple(orphan.id for orphan in rescued)
        seam.emit(JobsRescued(self._database.engine, job_ids))
        for orphan in rescued:
            outcome = self._outcome(orphan)
            if outcome.state is JobState.DISCARDED:
                seam.emit(
                    StepDiscarded(
                        engine=self._database.engine,
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
        lost = await find_lost_claims(self._database, self._jobs.claims)
        if lost:
            self._jobs.interrupt_claims(lost)


def _has_ended(neighbour: Neighbour, here: Process) -> bool:
    place, number, start = neighbour.place, neighbour.process, neighbour.process_start
    if place is None or number is None or start is None:
        return False
    return is_gone(Process(place, number, start), here)
