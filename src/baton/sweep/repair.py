"""Settles and announces what ended without telling anybody: by a hand, a dashboard, another
runtime, a crash. The same functions as the prompt path's, under the same locks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from baton.core.gate import PERHAPS_COMPLETED
from baton.runtime.quarantine import Quarantine, bisect
from baton.runtime.tasks import to_the_end
from baton.settling.announce import announce_all, emit_finished
from baton.settling.cascade_hooks import emit_cancelled_steps
from baton.settling.settle_failures import as_it_ended, settle_nodes
from baton.store.faults import holds_up_all, is_lock_timeout
from baton.store.settlement import Ended, Settlement
from baton.store.store import Store
from baton.store.sweeping import (
    NO_EVENT,
    START,
    find_ended_jobs,
    find_open_workflows,
    find_unannounced,
    wake_matching,
)
from baton.telemetry import seam
from baton.words.config import EngineSettings
from baton.words.effects import Effects
from baton.words.events import StepsCancelled, StepsSettled
from baton.words.states import TERMINAL_STATES, JobState, StepState

_log = logging.getLogger("baton")

STEPS = 20_000
"""Outstanding steps looked at in one sweep."""
WORKFLOWS = 200_000
"""Workflows looked at in one sweep to find those that have not ended."""
EVENTS = 20_000
"""Kept events looked at in one sweep."""
ANNOUNCED = 200
"""Workflows announced in one transaction."""
MOST_LOCKED = 5
"""Workflows of which one sweep waits for locks of others."""
TAKEN_AWAY = (
    "discarded by something other than Baton, which left no error of this attempt. The Lifeline of"
    " another Oban runtime does so: it goes by age alone and takes the jobs of every queue, Baton's"
    " too, so that a step that runs longer (oban-py: 300 s) is begun again until its attempts are"
    " used up. Give it a longer time than the longest step takes"
)
"""Noted in a job that has ended as discarded, without an error, outside a settlement."""
GRACE = 5.0
"""Seconds a host has to bring the result of a job that it has marked as completed."""


class Sweeper:
    """Goes through the workflows in id order, a bounded part in each sweep, and begins anew."""

    def __init__(self) -> None:
        self._open_after = START
        self._ended_after = START
        self._unsettled: Quarantine[UUID] = Quarantine("workflow %s cannot be settled by the sweep")
        self._unannounced: Quarantine[UUID] = Quarantine("workflow %s cannot be announced")
        self._match_after = NO_EVENT

    async def settle(self, database: Store, settings: EngineSettings) -> None:
        """Settle the steps whose jobs have ended, or vanished, while nobody looked."""
        found, self._open_after = await find_open_workflows(
            database, self._open_after, STEPS, WORKFLOWS
        )
        ended = await find_ended_jobs(database, found, GRACE)
        due, locked = set(self._unsettled.take_due()), 0
        self._unsettled.accept(set(self._unsettled.ids).difference(ended, due))
        for workflow_id, job_ids in ended.items():
            if workflow_id in self._unsettled and workflow_id not in due:
                continue
            try:
                await to_the_end(_settle(database, settings, workflow_id, job_ids))
                self._unsettled.accept([workflow_id])
            except Exception as error:
                locked += is_lock_timeout(error)
                if holds_up_all(error) or locked > MOST_LOCKED:
                    # The next sweep goes on behind it.
                    self._open_after = workflow_id
                    raise
                # One that cannot be settled must not keep the others.
                if is_lock_timeout(error):
                    _log.warning("workflow %s is locked; the next sweep comes", workflow_id)
                else:
                    self._unsettled.refuse(workflow_id, error)

    async def match(self, database: Store) -> None:
        """Have waits look into the mailbox of their key beside which an event lies. None does: this
        is for tables that somebody changed by hand.
        """
        woken, self._match_after = await wake_matching(database, self._match_after, EVENTS)
        if woken:
            _log.warning("%d waits had left events of their keys behind", woken)

    async def announce(self, database: Store, settings: EngineSettings) -> None:
        """Announce the workflows that have ended and were never announced."""
        unannounced, self._ended_after = await find_unannounced(database, self._ended_after, STEPS)
        due = set(self._unannounced.take_due())
        refusals: list[Exception] = []

        def refused(workflow_id: UUID, error: Exception) -> None:
            refusals.append(error)
            self._unannounced.refuse(workflow_id, error)

        async def announce(workflow_ids: Sequence[UUID]) -> None:
            notify = settings.notify
            try:
                await to_the_end(announce_all(database, workflow_ids, notify=notify))
            except Exception as error:
                if not is_lock_timeout(error):
                    raise
                # Who has one locked may be about to announce it, and else the next sweep does.
                await to_the_end(announce_all(database, workflow_ids, notify=notify, pass_by=True))
            self._unannounced.accept(workflow_ids)

        left = [one for one in unannounced if one not in self._unannounced or one in due]
        for portion in _portions(left, ANNOUNCED):
            await bisect(portion, announce, refused)
        if refusals and len(refusals) == len(left):
            # It is not a workflow that is to blame: the part has failed.
            raise refusals[-1]


class _Found(NamedTuple):
    ended: list[Ended]
    effects: Effects


async def _settle(
    database: Store, settings: EngineSettings, workflow_id: UUID, job_ids: Sequence[int]
) -> None:
    async def body(notify: bool) -> _Found:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            await settlement.lock_workflow(workflow_id)
            states = await settlement.lock_jobs(job_ids)
            ended = list(_ended(job_ids, states))
            discarded = [step.job_id for step in ended if step.state is StepState.DISCARDED]
            if discarded:
                await settlement.explain_discards(discarded, TAKEN_AWAY)
            return _Found(ended, await settle_nodes(settlement, ended))

    # Who is held up by a lock is passed by; the next sweep comes.
    ended, effects = await database.notifying(
        body, settings.notify, idempotent=True, when_locked=False
    )
    _log.warning(
        "workflow %s: %d jobs had ended or vanished, %d steps were cancelled because of it",
        workflow_id,
        len(ended),
        len(effects.cancelled),
    )
    if gone := [step.job_id for step in ended if step.gone]:
        _log.warning(
            "workflow %s: jobs %s were deleted before their steps settled, and count as cancelled;"
            " %s",
            workflow_id,
            ", ".join(map(str, gone[:10])) + (", …" if len(gone) > 10 else ""),
            PERHAPS_COMPLETED,
        )
    _emit(database, settings, ended, effects)


def _ended(job_ids: Sequence[int], states: dict[int, JobState]) -> Iterator[Ended]:
    """What is true now that the rows are locked; a job that was retried meanwhile is left alone."""
    for job_id in job_ids:
        state = states.get(job_id)
        if state is None or state in TERMINAL_STATES:
            yield as_it_ended(job_id, state)


def _emit(
    database: Store, settings: EngineSettings, ended: Sequence[Ended], effects: Effects
) -> None:
    if seam.active:
        settled = tuple(step.job_id for step in ended if step.job_id in effects.accepted)
        if settled:
            seam.emit(StepsSettled(database.engine, settled))
        cancelled = tuple(step.job_id for step in effects.cancelled)
        if cancelled:
            seam.emit(StepsCancelled(database.engine, cancelled))
    emit_cancelled_steps(database, settings, effects.cancelled)
    emit_finished(database.engine, effects.completions)


def _portions(ids: Sequence[UUID], size: int) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
