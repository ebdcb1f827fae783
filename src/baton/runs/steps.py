"""One step of a workflow, as an action finds it under the workflow's lock."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from baton.store.settlement import Course, FoundStep, Settlement
from baton.words.effects import Effects
from baton.words.states import JobState


class ByHand(NamedTuple):
    """What became of an action on a step. `ended`: its job had ended so outside a settlement, and
    the step has settled as it ended instead.
    """

    effects: Effects
    ended: JobState | None = None


async def lock_step(
    settlement: Settlement, workflow_id: UUID, name: str
) -> tuple[Course, FoundStep] | None:
    """Lock a workflow and find one of its steps. None when either is missing."""
    course = await settlement.lock_course(workflow_id)
    if course is None:
        return None
    step = await settlement.find_step(workflow_id, name)
    return None if step is None else (course, step)
