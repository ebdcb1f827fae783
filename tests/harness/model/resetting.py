"""How steps are begun anew, commit by commit, see `calls.run`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from model.calls import Commits
from model.needs import DOOMS, OPEN, SKIPPED
from model.state import FAILED, NOT_CLAIMED, Job, Step, Workflow
from model.work import Work, job_of

STEPS = "steps"


@dataclass(frozen=True)
class Retry:
    """What somebody asks for; `given` is what the steps `args` get as their argument."""

    mode: str
    names: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    given: int = 0
    keep_memos: bool = False
    interrupt: bool = False


class Done(NamedTuple):
    run: int
    steps: int
    interrupted: frozenset[int]


class Resetting(Work):
    """The opposite of settling."""

    def retry_workflow(self, number: int, retry: Retry) -> Commits[Done | str]:
        """What was done, or why nothing was: then there is no commit."""
        workflow = self.workflows.get(number)
        if workflow is None:
            return "unknown"
        chosen = chosen_by(workflow, retry)
        running = [step for step in chosen if step.state == "executing"]
        if refused := refused_for(chosen, running, retry):
            return refused
        yield
        self.put_back(workflow, chosen, retry)
        workflow.note("retry")
        self.open_steps(chosen, new=True)
        return Done(workflow.run, len(chosen), frozenset(step.id for step in running))

    def put_back(self, workflow: Workflow, chosen: list[Step], retry: Retry) -> None:
        """Put steps back to their beginning; what they wait for does not begin yet."""
        run = workflow.run
        if workflow.outstanding == 0:
            if workflow.overdue is not None:
                workflow.deadline, workflow.overdue = False, None
            self.announce([workflow.number])
            workflow.run += 1
        again = [
            step
            for step in workflow.steps
            if step.settled is None and step not in chosen
            if any(s in chosen and s.settled is not None for s in (*step.deps, *step.any_of))
        ]
        ready = {step.id for step in again if step.pending == 0}
        for step in chosen:
            self._begin(step, run, retry)
        for step in chosen:
            job = job_of(step)
            runnable = "available" if job.due else "scheduled"
            job.state = "suspended" if step.pending else runnable
        for step in again:
            # One that has begun and waits is not decided on again.
            begun = any(group.key and group.open for group in step.groups.values())
            if OPEN in step.standings() and not begun:
                step.undecided = step.new.conditional
            if not step.pending:
                continue
            # What could run in spite of what it waited for was moved by hand: its gate is asked.
            if step.id in ready and step.state in ("available", "scheduled", "retryable"):
                job_of(step).state = "suspended"
            elif step.state == "executing":
                step.ahead = job_of(step).claim

    def _begin(self, step: Step, run: int, retry: Retry) -> None:
        if step.job is None:
            attempt, most, given = step.kept
            step.job = Job("suspended", most, step.born, due=True, attempt=attempt, given=given)
            step.begun = False
        job = step.job
        former, job.max_attempts = job.max_attempts, job.attempt + job.max_attempts - step.base
        if step.settled is not None or job.attempt > 0:
            step.history.append([run, step.settled, step.result, job.attempt, former])
            step.base = job.attempt
            step.begun = step.named = False
        if not job.due and job.claim != NOT_CLAIMED:
            job.due, job.stamp = True, self.tick()
        if step.new.name in retry.args:
            job.given = retry.given
        step.settled = step.result = None
        step.undecided = step.new.conditional
        self._drop_waits(step, retry.keep_memos)

    def _drop_waits(self, step: Step, keep: bool) -> None:
        if not keep:
            step.script.clear()
        for group in list(step.groups.values()):
            if keep and group.key and not group.open and not group.unmet:
                continue
            for event in group.received.values():
                if group.begun and event.state in ("taken", "given"):
                    event.dedupe_id = None
                    if event.state == "taken":
                        event.state, event.taken_by = "dropped", None
            if group.key:
                del step.groups[group.key]
                continue
            # What came by its key before it had begun is still its own.
            group.received = {} if group.begun else group.received
            group.status, group.unmet, group.begun = "dormant", False, False
            group.cutoff = group.due = None


def chosen_by(workflow: Workflow, retry: Retry) -> list[Step]:
    match retry.mode:
        case "all":
            return list(workflow.steps)
        case "steps":
            first = {step.id for step in workflow.steps if step.new.name in retry.names}
            first |= _below(step for step in workflow.steps if step.id in first)
        case _:
            failed = [step for step in workflow.steps if step.settled in FAILED]
            first = {step.id for step in failed} | _skipped_below(failed)
            if retry.mode == "failed_and_downstream":
                below = _below(failed)
                first |= {s.id for s in workflow.steps if s.id in below and s.settled is not None}
    return [step for step in workflow.steps if step.id in first]


def _skipped_below(steps: Iterable[Step]) -> set[int]:
    """What was skipped below, step by step, before it had begun."""
    found: set[int] = set()
    left = list(steps)
    while left:
        for below in left.pop().dependents:
            if below.settled == "skipped" and not below.tried and below.id not in found:
                found.add(below.id)
                left.append(below)
    return found


def _stays_doomed(chosen: list[Step], step: Step) -> bool:
    """It would be cancelled or skipped at once, because of what is not begun anew."""
    stands = step.standings(lambda dep: None if dep in chosen else dep.settled)
    unneeded = set(stands) == {SKIPPED} and not step.new.run_when_skipped
    return unneeded or DOOMS in stands


def _below(steps: Iterable[Step]) -> set[int]:
    found: dict[int, Step] = {}
    left = list(steps)
    while left:
        for below in left.pop().dependents:
            if below.id not in found:
                found[below.id] = below
                left.append(below)
    return set(found)


def refused_for(chosen: list[Step], running: list[Step], retry: Retry) -> str | None:
    if not chosen:
        return "nothing"
    if retry.mode != "all" and any(map(partial(_stays_doomed, chosen), chosen)):
        return "doomed"
    if {*retry.args} - {step.new.name for step in chosen}:
        return "args"
    if running and not retry.interrupt:
        return "running"
    return None
