"""Begins a new workflow with the results of another one.

Idea: the fork is inserted whole, like any workflow, and in the same transaction the steps that are
not to be performed again become settled with the states and results of the source; their jobs go,
as if they had been pruned. What the others wait for is counted after that.

Invariant: the source stays as it is, under its lock: nothing prunes it or changes it meanwhile.
Nobody sees the fork before all of it is there.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from baton.core.checks import listed
from baton.core.names import validate_step_name, validate_workflow_name
from baton.runs.actions import Told
from baton.runs.retry import NAMED, announced, checked_args, choose
from baton.store.forking import Forking, Source, SourceStep
from baton.store.store import Store
from baton.words.actions import NewAction
from baton.words.argument_errors import InvalidOptionError
from baton.words.effects import Effects
from baton.words.rows import NewStep, NewWorkflow
from baton.words.run_errors import DeletedJobError, ForkUnsettledError
from baton.words.workflow_errors import UnknownWorkflowError


@dataclass(frozen=True, slots=True)
class Fork:
    """What a caller asks for, checked. `names` is None for a fork from the beginning."""

    names: tuple[str, ...] | None
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    workflow_name: str | None = None


def asked_fork(
    from_steps: Iterable[str] | None, args: Mapping[str, Any] | None, workflow_name: str | None
) -> Fork:
    """The checked options of a fork. Raises InvalidOptionError, InvalidNameError."""
    names = None
    if from_steps is not None:
        names = tuple(dict.fromkeys(map(validate_step_name, listed("from_steps", from_steps))))
        if not names:
            expected = "at least one step, such as from_steps=['a'], or None for all"
            raise InvalidOptionError("from_steps", from_steps, expected)
    name = None if workflow_name is None else validate_workflow_name(workflow_name)
    return Fork(names, checked_args(args), name)


async def fork_workflow(
    database: Store, source_id: UUID, fork_id: UUID, fork: Fork, told: Told, *, notify: bool
) -> tuple[NewWorkflow, Effects]:
    """Begin the workflow `fork_id` with what the source has, in one transaction.

    Raises UnknownWorkflowError, UnknownStepError, InvalidOptionError, InvalidArgsError,
    FailedDependencyError, ForkUnsettledError, DeletedJobError, before anything is written.
    """

    async def body(notify: bool) -> tuple[NewWorkflow, Effects]:
        async with database.committing() as connection:
            forking = Forking(connection, database.sql, notify=notify)
            return await _fork(forking, source_id, fork_id, fork, told)

    return await database.notifying(body, notify, idempotent=True)


async def _fork(
    forking: Forking, source_id: UUID, fork_id: UUID, fork: Fork, told: Told
) -> tuple[NewWorkflow, Effects]:
    course = await forking.lock_course(source_id)
    if course is None:
        raise UnknownWorkflowError(source_id)
    ended = await announced(forking, source_id, course)
    mode = "all" if fork.names is None else NAMED
    found, args, back = await choose(forking, source_id, mode, fork.names or (), fork.args)
    chosen = frozenset(found)
    source = _without(await forking.read_source(source_id), back)
    _check(source_id, source, chosen)
    new = _new_workflow(fork_id, fork, source, args)
    jobs = await forking.insert(new)
    pairs = list(zip(source.steps, (job.id for job in jobs), strict=True))
    ids = {step.job_id: job_id for step, job_id in pairs}
    grown = {job_id: ids[step.grown_by] for step, job_id in pairs if step.grown_by is not None}
    if grown:
        await forking.mark_grown(grown)
    taken = [(step, job_id) for step, job_id in pairs if step.job_id not in chosen]
    begun = [job_id for step, job_id in pairs if step.job_id in chosen]
    failed = sum(step.state in ("cancelled", "discarded") for step, _ in taken)
    skipped = sum(step.state == "skipped" for step, _ in taken)
    # Before anything is decided: what a condition skips is counted on top.
    await forking.begin_fork(fork_id, source_id, len(taken), failed, skipped)
    effects = Effects()
    if taken:
        await forking.take_over([job_id for _, job_id in taken], [step.job_id for step, _ in taken])
        await forking.forget_deleted([job_id for step, job_id in taken if not step.kept])
        opened = await forking.count_pending(begun, paused=False)
        queues = await forking.reset_jobs(fork_id, begun, [])
        effects = Effects(released=queues)
        if opened:
            effects = effects.plus(await forking.open_steps(opened))
    action = NewAction(
        source_id,
        "fork",
        told.by,
        told.reason,
        course.run,
        details={"from_steps": fork.names and list(fork.names), "args": sorted(fork.args)},
        result={"workflow_id": str(fork_id), "steps": len(begun), "taken_over": len(taken)},
    )
    await forking.record_action(action)
    return new, ended.plus(effects).plus(Effects(actions=[action]))


def _without(source: Source, taken: Mapping[int, int]) -> Source:
    """The source without steps that are added anew, by the steps that had added them: what waited
    for these waits for those.
    """
    if not taken:
        return source
    names = {step.job_id: step.step.name for step in source.steps}
    instead = {names[job_id]: names[grower] for job_id, grower in taken.items()}

    def tied(step: NewStep) -> NewStep:
        deps = dict.fromkeys(instead.get(name, name) for name in step.deps)
        return replace(step, deps=tuple(deps))

    left = [step for step in source.steps if step.job_id not in taken]
    return source._replace(steps=[step._replace(step=tied(step.step)) for step in left])


def _check(source_id: UUID, source: Source, chosen: Container[int]) -> None:
    """Refuse what would be taken over though it has not settled, or begun though it is gone."""
    unsettled = [s.step.name for s in source.steps if s.state is None and s.job_id not in chosen]
    if unsettled:
        raise ForkUnsettledError(source_id, unsettled[:10])
    gone = [s.step.name for s in source.steps if not s.kept and s.job_id in chosen]
    if gone:
        raise DeletedJobError(source_id, gone[:10])


def _new_workflow(
    fork_id: UUID, fork: Fork, source: Source, args: Mapping[int, str]
) -> NewWorkflow:
    def new(step: SourceStep) -> NewStep:
        return replace(step.step, args=args.get(step.job_id, step.step.args))

    return NewWorkflow(
        fork_id,
        source.workflow_name if fork.workflow_name is None else fork.workflow_name,
        tuple(map(new, source.steps)),
        source.debug,
    )
