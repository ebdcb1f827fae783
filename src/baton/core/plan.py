"""What the steps of a new workflow are written as: their first states, when they are due, and who
waits for whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from baton.words.rows import NewStep
from baton.words.states import JobState


class Among(NamedTuple):
    """The workflow that steps are added to: job ids of steps it has, by name; ids of those that
    wait for a new step too, by its name; whether it is paused.
    """

    existing: Mapping[str, str]
    before: Mapping[str, Sequence[str]]
    paused: bool


NEW = Among({}, {}, paused=False)


class PlannedStep(NamedTuple):
    """A step as it begins, by job ids. `pending` counts what has to settle before it may run: its
    dependencies, alternatives as one, and its condition or the wait of a wait step. `dependents`
    are those of which it is no alternative. `due` None is the time of the insertion.
    """

    step: NewStep
    job_id: str
    state: JobState
    due: datetime | None
    deps: Sequence[str]
    dependents: Sequence[str]
    pending: int


def plan(
    steps: Sequence[NewStep], job_ids: Sequence[str], now: datetime, among: Among = NEW
) -> Iterator[PlannedStep]:
    """The steps in their order, inserted at `now` (aware) with these ids, into a new workflow or
    among the steps of one.

    A step that waits for others, or for events, begins suspended, whenever it is due; one that is
    due at `now` or before begins available. The graph is one that `topological_order` accepts; a
    dependency named twice counts once.
    """
    # Made one by one and given away: kept until the end, a large workflow's records would cost the
    # garbage collector as much time as all the rest.
    known = {step.name: job_id for step, job_id in zip(steps, job_ids, strict=True)}
    below = {known[name]: list(targets) for name, targets in among.before.items()}
    if among.existing:
        known.update(among.existing)
    for step, job_id in zip(steps, job_ids, strict=True):
        for name in _needed(step):
            below.setdefault(known[name], []).append(job_id)
    for step, job_id in zip(steps, job_ids, strict=True):
        deps = [known[name] for name in _distinct(step.deps)]
        pending = len(deps) + (step.wait is not None or step.condition is not None)
        if step.any_of:
            pending += 1 - len(set(step.any_of))
        if among.paused:
            pending += 1
        due = _due(step, now)
        state = _state(pending, due, now)
        yield PlannedStep(step, job_id, state, due, deps, below.get(job_id, ()), pending)


def _needed(step: NewStep) -> Iterable[str]:
    """The dependencies all of which have to settle."""
    names = _distinct(step.deps)
    return [name for name in names if name not in step.any_of] if step.any_of else names


def _distinct(names: Sequence[str]) -> Iterable[str]:
    return names if len(names) < 2 else dict.fromkeys(names)


def _due(step: NewStep, now: datetime) -> datetime | None:
    if step.schedule_in is not None:
        return now + timedelta(seconds=step.schedule_in)
    return step.schedule_at


def _state(pending: int, due: datetime | None, now: datetime) -> JobState:
    if pending:
        return JobState.SUSPENDED
    return JobState.SCHEDULED if due is not None and due > now else JobState.AVAILABLE
