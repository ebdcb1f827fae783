"""Begins steps of a workflow anew: a failed part, what hangs on chosen steps, or all.

Idea: a reset step is as it was inserted. Its node has no state and no result, `pending` counts the
dependencies that have not settled, its job is suspended, scheduled or available; what that replaces
is kept as history. The workflow counts the step as outstanding again. If the workflow had ended,
its next run begins, which ends with an announcement of its own.

Invariant: everything is decided and written under the workflow's lock, in one transaction. A step
that has not settled and depends on a reset one waits for it once more. A late outcome of an
attempt that was taken away meets the fence: its job is not `executing` under that claim.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from baton.core.checks import flag, listed
from baton.core.growth import taken_back
from baton.core.jsonvalue import decode, encode
from baton.core.names import validate_step_name
from baton.core.references import escaped, may_refer
from baton.runs.actions import Told, lock_for
from baton.store.resetting import NamedStep, Resetting
from baton.store.settlement import Course
from baton.store.store import Store
from baton.words.actions import NewAction
from baton.words.argument_errors import InvalidOptionError
from baton.words.effects import Effects
from baton.words.run_errors import (
    DeletedJobError,
    FailedDependencyError,
    GrownDependencyError,
    NothingToRetryError,
    StepRunningError,
)
from baton.words.runs import Retried, RetryMode
from baton.words.states import TERMINAL_STATES, JobState
from baton.words.workflow_errors import UnknownStepError, UnknownWorkflowError
from baton.workers import registry
from baton.workers.args import ARGS_LIMIT

NAMED = "steps"
"""The mode of a retry that names its steps."""

_OURS = frozenset({JobState.AVAILABLE, JobState.SUSPENDED, JobState.SCHEDULED, JobState.RETRYABLE})


@dataclass(frozen=True, slots=True)
class Retry:
    """What a caller asks for, checked."""

    mode: str
    names: tuple[str, ...]
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    keep_memos: bool = False
    interrupt: bool = False


def asked(
    mode: RetryMode | str,
    steps: Iterable[str] | None,
    args: Mapping[str, Any] | None,
    *,
    keep_memos: bool,
    interrupt: bool,
) -> Retry:
    """The checked options of a retry. Raises InvalidOptionError, InvalidNameError."""
    try:
        chosen = str(RetryMode(mode))
    except ValueError:
        expected = ", ".join(f"{known.value!r}" for known in RetryMode)
        raise InvalidOptionError("mode", mode, f"one of {expected}; or name steps=['a']") from None
    names: tuple[str, ...] = ()
    if steps is not None:
        if chosen != RetryMode.FAILED:
            raise InvalidOptionError("mode", mode, "no mode beside steps=[…], which name them")
        names = tuple(dict.fromkeys(map(validate_step_name, listed("steps", steps))))
        if not names:
            raise InvalidOptionError("steps", steps, "at least one step, such as steps=['a']")
        chosen = NAMED
    return Retry(
        chosen,
        names,
        checked_args(args),
        flag("keep_memos", keep_memos),
        flag("interrupt", interrupt),
    )


def checked_args(given: Any) -> dict[str, Any]:
    """Arguments by step. Raises InvalidOptionError, InvalidNameError."""
    if given is None:
        return {}
    expected = "arguments by step, such as args={'a': {'url': '…'}}"
    if not isinstance(given, Mapping):
        raise InvalidOptionError("args", given, expected)
    for values in given.values():
        if not isinstance(values, Mapping):
            raise InvalidOptionError("args", given, expected)
    return {validate_step_name(name): dict(values) for name, values in given.items()}


async def retry_workflow(
    database: Store, workflow_id: UUID, retry: Retry, told: Told, *, notify: bool
) -> tuple[Retried, Effects]:
    """Reset steps in one transaction; with the effects to emit.

    Raises UnknownWorkflowError, UnknownStepError, InvalidOptionError, InvalidArgsError and every
    RetryError, before anything is written.
    """

    async def body(notify: bool) -> tuple[Retried, Effects]:
        async with database.committing() as connection:
            resetting = Resetting(connection, database.sql, notify=notify)
            return await _retry(resetting, workflow_id, retry, told)

    return await database.notifying(body, notify, idempotent=True)


async def _retry(
    resetting: Resetting, workflow_id: UUID, retry: Retry, told: Told
) -> tuple[Retried, Effects]:
    course = await lock_for(resetting, workflow_id, told)
    if course is None:
        raise UnknownWorkflowError(workflow_id)
    ended = await announced(resetting, workflow_id, course)
    chosen, args, taken = await choose(resetting, workflow_id, retry.mode, retry.names, retry.args)
    jobs = await lock_chosen(resetting, workflow_id, chosen, interrupt=retry.interrupt, taken=taken)
    lost = await resetting.interrupt_jobs(jobs.running)
    run, effects = await reset(resetting, workflow_id, jobs, course, retry.keep_memos, args)
    action = NewAction(
        workflow_id,
        "retry",
        told.by,
        told.reason,
        run,
        details={
            "mode": retry.mode,
            "steps": list(retry.names),
            "args": sorted(retry.args),
            "keep_memos": retry.keep_memos,
            "interrupt": retry.interrupt,
        },
        result={"steps": len(chosen), "interrupted": len(jobs.running), "taken_back": len(taken)},
        bulk_id=told.bulk_id,
    )
    await resetting.record_action(action)
    done = Effects(interrupted=lost, actions=[action])
    return Retried(run, len(chosen)), ended.plus(effects).plus(done)


async def announced(resetting: Resetting, workflow_id: UUID, course: Course) -> Effects:
    """The end of a workflow comes before its next run: what settled it may have died before it was
    announced. Raises UnknownWorkflowError for one that is pruned in part.
    """
    if course.outstanding > 0:
        return Effects()
    if await resetting.count_nodes(workflow_id) < course.steps:
        # What is left of it is about to be pruned.
        raise UnknownWorkflowError(workflow_id, pruned=True)
    await resetting.finish_workflows([workflow_id])
    return Effects(completions=await resetting.announce([workflow_id]))


class Jobs(NamedTuple):
    """The jobs of a reset, locked: those of the `chosen` steps, of which some are `running` and the
    rows of some are `missing`; and of those that wait for them `again`. `taken` are steps that are
    taken back, with those of the chosen that had added them, and `held` the steps that wait for
    these.
    """

    chosen: list[int]
    running: list[int]
    missing: list[int]
    again: list[int]
    taken: Mapping[int, int] = {}
    held: Sequence[int] = ()


async def reset(
    resetting: Resetting,
    workflow_id: UUID,
    jobs: Jobs,
    course: Course,
    keep_memos: bool = False,
    args: Mapping[int, str] | None = None,
) -> tuple[int, Effects]:
    """Put these steps back to their beginning and begin the waits of those that wait for nothing
    else; returns the run that goes on.
    """
    run, opened, queues = await put_back(resetting, workflow_id, jobs, course, keep_memos, args)
    decided = await resetting.open_steps(opened) if opened else Effects()
    return run, Effects(released=queues).plus(decided)


async def put_back(
    resetting: Resetting,
    workflow_id: UUID,
    jobs: Jobs,
    course: Course,
    keep_memos: bool = False,
    args: Mapping[int, str] | None = None,
) -> tuple[int, list[int], list[str]]:
    """Put these steps back to their beginning; returns the run that goes on, the wait steps whose
    waits are to be begun, and the queues that got available jobs. The next run of a workflow that
    ended after its deadline has none.
    """
    chosen = jobs.chosen
    if course.outstanding == 0:
        await resetting.take_deadline(workflow_id)
    if jobs.missing:
        await resetting.remake_jobs(workflow_id, jobs.missing)
    taken = None
    if jobs.taken:
        taken = await resetting.keep_history(workflow_id, jobs.taken, course.run)
        await resetting.untie(jobs.taken, jobs.held)
    run, opened, ready = await resetting.reset_nodes(
        workflow_id, chosen, jobs.again, run=course.run, paused=course.paused
    )
    await resetting.drop_waits(chosen, keep_memos=keep_memos)
    if args:
        await resetting.replace_args(args)
    queues = await resetting.reset_jobs(workflow_id, chosen, ready)
    if taken is not None:
        # Last: with them alone outstanding the workflow would seem to have ended.
        await resetting.remove(workflow_id, jobs.taken, taken)
    return run, opened, queues


class Chosen(NamedTuple):
    """The steps that are begun anew, the arguments of some as JSON text, and the steps that are
    taken back, with those of the chosen that had added them; by job ids.
    """

    steps: list[int]
    args: dict[int, str]
    taken: dict[int, int]


async def choose(
    resetting: Resetting,
    workflow_id: UUID,
    mode: str,
    names: Sequence[str],
    args: Mapping[str, Any],
) -> Chosen:
    """The steps that are begun anew. Raises UnknownStepError, NothingToRetryError,
    FailedDependencyError, GrownDependencyError; InvalidOptionError, InvalidArgsError,
    NotStorableError.
    """
    wanted = [*names, *args]
    named = await resetting.read_named(workflow_id, wanted) if wanted else {}
    for name in wanted:
        if name not in named:
            raise UnknownStepError(workflow_id, name)
    chosen = await resetting.choose(workflow_id, mode, names)
    if not chosen:
        raise NothingToRetryError(workflow_id, mode)
    taken = taken_back(chosen, await resetting.read_grown(workflow_id))
    if taken:
        chosen = [job_id for job_id in chosen if job_id not in taken]
        on_top = await resetting.find_on_top(taken)
        if on_top is not None:
            raise GrownDependencyError(workflow_id, *on_top)
    if mode != RetryMode.ALL:
        doomed = await resetting.find_dooming(frozenset(chosen))
        if doomed is not None:
            raise FailedDependencyError(workflow_id, *doomed)
    return Chosen(chosen, _encoded(args, named, frozenset(chosen)), taken)


def _encoded(
    args: Mapping[str, Any], named: Mapping[str, NamedStep], chosen: Container[int]
) -> dict[int, str]:
    texts: dict[int, str] = {}
    for name, values in args.items():
        step = named[name]
        if step.job_id not in chosen:
            raise InvalidOptionError("args", args, f"no arguments for {name!r}, not retried")
        what = f"the arguments of {name!r}"
        text = encode(values, what=what, limit=ARGS_LIMIT)
        spec = None if step.worker is None else registry.find(step.worker)
        if spec is not None:
            spec.build(text)
        if may_refer(text):
            text = encode(escaped(decode(text)), what=what, limit=ARGS_LIMIT)
        texts[step.job_id] = text
    return texts


async def lock_chosen(
    resetting: Resetting,
    workflow_id: UUID,
    chosen: list[int],
    *,
    interrupt: bool,
    taken: Mapping[int, int] | None = None,
) -> Jobs:
    """Lock the jobs that a reset changes, in the order of their ids. Raises StepRunningError,
    DeletedJobError.
    """
    again = await resetting.find_waiting_again(frozenset(chosen))
    held: dict[int, bool] = {}
    if taken:
        held = await resetting.find_held_by(taken)
        again += [job_id for job_id, unsettled in held.items() if unsettled]
        again = sorted({*again}.difference(chosen, taken))
    taken = taken or {}
    states = await resetting.lock_jobs(sorted([*chosen, *again, *taken]))
    running = [
        job_id
        for job_id in (*chosen, *taken)
        if (state := states.get(job_id)) is not None
        and state not in _OURS
        and state not in TERMINAL_STATES
    ]
    if running and not interrupt:
        raise StepRunningError(workflow_id, await resetting.read_names(running[:10]))
    missing = [job_id for job_id in chosen if job_id not in states]
    if missing and (unmade := await resetting.find_unmade(missing)):
        raise DeletedJobError(workflow_id, unmade)
    return Jobs(chosen, running, missing, again, taken, list(held))
