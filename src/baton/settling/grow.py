"""Adds steps to a workflow that goes on.

Idea: a step that runs may add steps; they are part of its outcome. One transaction completes its
job, fenced on the claim, inserts the new steps, and settles the step: what it adds is there when it
settles, or never. From outside steps come in a transaction of their own.

Invariant: a new step counts all its dependencies as unsettled when it is written. Those that have
settled before, the step that adds it among them, then cascade to it as they do to every other
step: so it is released, cancelled or skipped by the rules of `core.cascade`, and by no other.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from baton.core.dag import topological_order
from baton.core.near_names import did_you_mean
from baton.settling.settle_failures import settle_nodes
from baton.store.growing import Edge, Growing, Standing
from baton.store.settlement import Ended, SettledNode
from baton.store.store import Store
from baton.words.effects import Effects, Grown
from baton.words.graph_errors import BeforeError, DuplicateStepError, UnknownDependencyError
from baton.words.rows import Growth, Job, NewWorkflow, Outcome
from baton.words.states import JobState, StepState


class Added(NamedTuple):
    """What was added: the steps, their jobs, and those that had settled before and that they depend
    on, with these dependents alone.
    """

    new: NewWorkflow
    jobs: list[Job]
    above: list[SettledNode]

    def effects(self, by: str | None) -> Effects:
        """What is woken and told of."""
        queues = {job.queue for job in self.jobs if job.state is JobState.AVAILABLE}
        new = self.new
        grown = Grown(new.workflow_id, new.workflow_name, by, len(new.steps))
        return Effects(released=sorted(queues), grown=[grown])


async def settle_grown(
    database: Store, outcome: Outcome, growth: Growth, *, notify: bool
) -> tuple[Effects, bool]:
    """Settle a step that has completed and adds steps; whether this had been written before, by a
    commit whose reply was lost.

    Raises GraphError, and nothing is written, when the steps do not fit the workflow.
    """

    async def body() -> tuple[Effects, bool]:
        async with database.committing() as connection:
            growing = Growing(connection, database.sql, notify=notify)
            return await grow_in(growing, outcome, growth)

    return await database.retrying(body, idempotent=True, when_locked=False)


async def grow_in(growing: Growing, outcome: Outcome, growth: Growth) -> tuple[Effects, bool]:
    """As `settle_grown`, in a transaction that has begun; without an accepted outcome it is to be
    rolled back.
    """
    locked = await growing.lock_workflows_of_jobs([outcome.job_id])
    done, echo = await growing.complete_claimed(outcome.job_id, outcome.attempted_at)
    if not locked or not done:
        return Effects(frozenset([outcome.job_id] if echo else ())), echo
    added = await add_steps(growing, locked[0], growth, outcome.job_id)
    ended = Ended(outcome.job_id, StepState.COMPLETED, outcome.result, trace=outcome.trace)
    effects = await settle_nodes(growing, [ended], added.above)
    added_too = added.effects(growth.by)
    return effects.plus(added_too)._replace(accepted=frozenset([outcome.job_id])), False


async def add_steps(
    growing: Growing, workflow_id: UUID, growth: Growth, grown_by: int | None
) -> Added:
    """Write new steps of a workflow that is locked and has not ended. Raises GraphError."""
    new = {step.name for step in growth.steps}
    targets = dict.fromkeys(chain.from_iterable(growth.before.values()))
    named = dict.fromkeys(chain(new, *(step.deps for step in growth.steps), targets))
    found = await growing.find_standing(workflow_id, named, grown_by)
    for step in growth.steps:
        if step.name in found:
            raise DuplicateStepError(step.name)
        for dependency in step.deps:
            if dependency not in new and dependency not in found:
                known = await growing.read_step_names(workflow_id)
                hint = did_you_mean(dependency, [*known, *new])
                raise UnknownDependencyError(step.name, dependency, known, hint)
    _check_before(growth, found, new)
    await _check_order(growing, growth, found, grown_by)

    before = {
        name: [str(found[target].job_id) for target in wanted]
        for name, wanted in growth.before.items()
        if wanted
    }
    existing = {name: str(one.job_id) for name, one in found.items()}
    written, jobs = await growing.insert_steps(
        workflow_id, growth.steps, existing, before, grown_by
    )
    ids = {job.name: job.id for job in jobs}
    edges = [
        Edge(found[dependency].job_id, ids[step.name], dependency in step.any_of)
        for step in growth.steps
        for dependency in dict.fromkeys(step.deps)
        if dependency in found
    ]
    if edges:
        await growing.add_dependents(edges)
    if before:
        await growing.add_dependencies(
            {ids[name]: list(map(int, wanted)) for name, wanted in before.items()}
        )
    return Added(written, jobs, _above(workflow_id, found, edges))


def _above(
    workflow_id: UUID, found: Mapping[str, Standing], edges: list[Edge]
) -> list[SettledNode]:
    """The settled steps that new ones depend on, as if they settled now and had these alone."""
    below: dict[int, tuple[list[int], list[int]]] = {}
    for edge in edges:
        below.setdefault(edge.job_id, ([], []))[edge.alternative].append(edge.dependent)
    return [
        SettledNode(
            one.job_id,
            workflow_id,
            name,
            one.state,
            tuple(below[one.job_id][0]),
            any_dependents=tuple(below[one.job_id][1]),
        )
        for name, one in found.items()
        if one.state is not None and one.job_id in below
    ]


def _check_before(growth: Growth, found: Mapping[str, Standing], new: Container[str]) -> None:
    """Raise BeforeError where a step cannot wait for a new one."""
    for name, wanted in growth.before.items():
        for target in wanted:
            problem = _problem(target, found.get(target), growth.by, new)
            if problem:
                raise BeforeError(name, target, problem)


def _problem(target: str, found: Standing | None, by: str | None, new: Container[str]) -> str:
    """Why a step cannot wait for a new one; empty when it can."""
    if target == by:
        return "which adds it"
    if found is None:
        if target in new:
            return f"which is new too: name it among the deps of {target!r}"
        return "which is not a step of this workflow"
    if found.state is not None:
        return f"which has settled as {found.state}"
    if not found.waits:
        return "which waits for no other step any more"
    if not found.sleeps:
        return "which has begun, or whose job somebody has moved"
    if found.alternative:
        return "which needs the step that adds it only as an alternative"
    return ""


class _Given(NamedTuple):
    name: str
    deps: Sequence[str]


async def _check_order(
    growing: Growing, growth: Growth, found: Mapping[str, Standing], grown_by: int | None
) -> None:
    """Raise CycleError where steps would wait for each other, also through what is there, whether
    it has settled or not: a retry has them wait again. A retry also has a target wait for who
    adds a step before it, so that must not wait for the target: BeforeError.
    """
    new = {step.name for step in growth.steps}
    above = {name: found[name] for step in growth.steps for name in step.deps if name in found}
    waits: dict[str, list[str]] = {name: [] for name in above}
    for name, wanted in growth.before.items():
        for target in wanted:
            waits.setdefault(target, []).append(name)
    if growth.before:
        names = {one.job_id: name for name, one in found.items()}
        targets = [found[name].job_id for name, held_by in waits.items() if held_by]
        steps = [one.job_id for one in above.values()]
        for one in await growing.find_reachable(targets, steps, grown_by):
            target = names[one.target]
            if one.grows:
                problem = "on which the step that adds it depends"
                raise BeforeError(waits[target][0], target, problem)
            if one.target != one.step:
                waits[names[one.step]].append(target)
    order = [
        _Given(step.name, [name for name in step.deps if name in new or name in above])
        for step in growth.steps
    ]
    topological_order([*order, *(_Given(name, deps) for name, deps in waits.items())])
