"""What people do to a workflow, or to one of its steps, commit by commit, see `calls.run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from model.calls import Commits
from model.needs import DOOMS, shown, standing
from model.resetting import Resetting, Retry, chosen_by, refused_for
from model.state import FAILED, MOVED, NOT_CLAIMED, TERMINAL, Entry, NewStep, Step, Workflow
from model.work import job_of


class Verbs(Resetting):
    """What is refused has no commit; what nobody has is None."""

    # Cancel

    def cancel_workflow(self, number: int) -> Commits[int | None]:
        yield
        if number not in self.workflows:
            return None
        return self.cancel_all(self.workflows[number], "cancel")

    def cancel_all(self, workflow: Workflow, action: str) -> int:
        unsettled = workflow.unsettled()
        live = [s for s in unsettled if s.job is not None and s.job.state not in TERMINAL]
        if unsettled:
            workflow.note(action)
        for step in live:
            self.end_job(step, "cancelled", error=True)
        self.settle(as_it_ended(unsettled))
        return len(live)

    def cancel_step(self, number: int, name: str) -> Commits[str | None]:
        """`ended`: its job had ended, and it settles so."""
        step = self._found(number, name)
        if step is not None and step.settled is not None:
            return "settled"
        yield
        if step is None:
            return None
        ended = step.job is not None and step.job.state in TERMINAL
        if not ended:
            step.workflow.note("cancel_step", name)
            step.named = True
            self.end_job(step, "cancelled", error=True)
        self.settle(as_it_ended([step]))
        return "ended" if ended else "done"

    # Complete

    def complete_step(self, number: int, name: str, value: int) -> Commits[str | None]:
        """`reopened`: it had failed."""
        step = self._found(number, name)
        failed = step is not None and step.settled in FAILED
        if step is not None and step.settled is not None and not failed:
            return "settled"
        yield
        if step is None:
            return None
        if failed:
            again = [step, *_revived(step)]
            chosen = sorted(again, key=lambda one: one.id)
            self.put_back(step.workflow, chosen, Retry("steps", interrupt=True))
            self.open_steps((one for one in chosen if one is not step), new=True)
        if step.job is not None:
            step.job.state = "completed"
            step.job.claim = NOT_CLAIMED if step.job.claim == NOT_CLAIMED else MOVED
        step.workflow.note("complete_step", name)
        self.settle([Entry(step, "completed", {"value": shown(value)})], new=True)
        return "reopened" if failed else "done"

    def _found(self, number: int, name: str) -> Step | None:
        workflow = self.workflows.get(number)
        return None if workflow is None else workflow.find(name)

    # Pause

    def pause(self, number: int) -> Commits[str | int | None]:
        """How many jobs it puts to sleep."""
        workflow = self.workflows.get(number)
        if workflow is None:
            return "unknown"
        if workflow.outstanding == 0:
            return "finished"
        yield
        if workflow.paused:
            return None
        # What could run in spite of what it waits for was moved by hand: its gate is asked.
        ready = [step for step in workflow.unsettled() if step.pending == 0]
        workflow.paused = True
        asleep = 0
        for step in ready:
            if step.job and step.job.state in ("available", "scheduled", "retryable"):
                step.job.state = "suspended"
                asleep += 1
        workflow.note("pause")
        return asleep

    def resume(self, number: int) -> Commits[str | int | None]:
        """How many jobs it wakes."""
        workflow = self.workflows.get(number)
        if workflow is None:
            return "unknown"
        if workflow.outstanding == 0 and not workflow.paused:
            return "finished"
        yield
        if not workflow.paused:
            return None
        workflow.paused = False
        left = workflow.unsettled()
        ready = [step for step in left if step.pending == 0 and step.state == "suspended"]
        self.release(ready, {})
        workflow.note("resume")
        self.open_steps(left)
        return len(ready)

    # Deadlines

    def cancel_overdue(self) -> Commits[None]:
        found = [workflow for workflow in self.workflows.values() if workflow.overdue is not None]
        for workflow in sorted(found, key=lambda one: one.overdue or 0):
            yield
            workflow.deadline, workflow.overdue = False, None
            self.cancel_all(workflow, "deadline")

    # Fork

    def fork(
        self, number: int, fork_number: int, retry: Retry, ids: Callable[[int], list[int]]
    ) -> Commits[str]:
        """The ids are the ones the database gave."""
        source = self.workflows.get(number)
        if source is None:
            return "unknown"
        chosen = chosen_by(source, retry)
        if refused := refused_for(chosen, [], retry):
            return refused
        if any(step.settled is None and step not in chosen for step in source.steps):
            return "unsettled"
        yield
        if source.outstanding == 0:
            self.announce([number])
        self.insert(fork_number, [_renewed(s) for s in source.steps], ids(fork_number))
        fork = self.workflows[fork_number]
        begun: list[Step] = []
        for new, step in zip(fork.steps, source.steps, strict=True):
            given = step.kept[2] if step.job is None else step.job.given
            job_of(new).given = retry.given if new.new.name in retry.args else given
            if step in chosen:
                begun.append(new)
            else:
                _take_over(new, step)
        source.note("fork")
        if len(begun) < len(fork.steps):
            for step in begun:
                job_of(step).state = "suspended" if step.pending else "available"
            self.open_steps(begun, new=True)
        return "done"


def as_it_ended(steps: Iterable[Step]) -> list[Entry]:
    return [
        Entry(step, "cancelled", gone=True)
        if step.job is None
        else Entry(step, step.job.state, {"value": None} if step.state == "completed" else None)
        for step in steps
    ]


def _revived(step: Step) -> list[Step]:
    """The steps below that nothing dooms or skips any more, and that nobody has begun or named."""
    below: dict[int, Step] = {}
    left = [step]
    while left:
        for one in left.pop().dependents:
            passed = one.settled in ("cancelled", "skipped") and not one.tried
            if passed and not one.named and one.id not in below:
                below[one.id] = one
                left.append(one)
    found = [step]
    for over in found:
        for one in over.dependents:
            dooms = _dooms(one)
            undone = one.settled == "skipped" or (
                any(over in doom for doom in dooms)
                and all(any(dep in found for dep in doom) for doom in dooms)
            )
            if undone and one.id in below and one not in found:
                found.append(one)
    return found[1:]


def _dooms(step: Step) -> list[list[Step]]:
    """What each has to be rid of one: a failed dependency alone, alternatives together."""
    found = [[d] for d in step.deps if standing(d.settled, step.new.ignored) == DOOMS]
    if step.any_of and step.alternatives() == DOOMS:
        found.append(step.any_of)
    return found


def _renewed(step: Step) -> NewStep:
    """As a fork inserts it."""
    most = step.kept[1] if step.job is None else step.job.max_attempts
    return replace(step.new, max_attempts=max(most - step.base, 1), later=False)


def _take_over(new: Step, step: Step) -> None:
    """It has settled as the source's step has; its job goes."""
    new.settled, new.result = step.settled, step.result
    new.lose_job()
    for group, former in zip(new.groups.values(), filter(None, [step.gate]), strict=True):
        group.status, group.unmet, group.begun = former.status, former.unmet, former.begun
        group.due = group.cutoff = None
