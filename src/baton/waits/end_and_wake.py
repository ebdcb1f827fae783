"""Ends a wait that did not get what it waited for: by request, or because its time is over."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from baton.settling.settle_failures import cancelled_step, settle_nodes
from baton.store.settlement import Ended, Settlement
from baton.store.waits import EndedGroup
from baton.words.effects import Effects, SettledWait
from baton.words.states import JobState, OnTimeout, StepState


class Ending(NamedTuple):
    """Why a wait ends: how it is called, and the reason that its step is given."""

    outcome: str
    reason: str

    def state(self, ended: EndedGroup) -> JobState | None:
        """What becomes of the job; None when it goes on."""
        if self.outcome == "cancelled":
            return JobState.CANCELLED if ended.wait_step else None
        cancels = ended.on_timeout == OnTimeout.CANCEL
        return JobState.CANCELLED if cancels else JobState.DISCARDED


async def end_wait(
    settlement: Settlement, workflow_id: UUID, group_id: int, ending: Ending
) -> Effects:
    """End one group, under its workflow's lock. Nothing when it has ended before."""
    ended = await settlement.end_group(group_id, ending.outcome, ending.reason)
    if ended is None:
        return Effects()
    wait = SettledWait(
        workflow_id,
        ended.workflow_name,
        ended.step,
        ended.job_id,
        ended.replay_key,
        ending.outcome,
        ended.seconds,
    )
    state = ending.state(ended)
    if state is None:
        queue = await settlement.wake_job(ended.job_id)
        return Effects(released=[queue] if queue else [], waits=[wait])
    jobs = await settlement.fail_job(ended.job_id, state, ending.reason)
    effects = await settle_nodes(settlement, [Ended(ended.job_id, StepState(state))])
    own = (
        [cancelled_step(job, workflow_id, ended.step, ending.reason) for job in jobs]
        if state is JobState.CANCELLED
        else []
    )
    return Effects(cancelled=own, waits=[wait]).plus(effects)
