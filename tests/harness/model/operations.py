"""What all others do: cancel, tell, send, sweep, prune; commit by commit, see `calls.run`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from model.calls import (
    MAX_RESCUES,
    Commits,
    Outcome,
)
from model.needs import shown
from model.state import TERMINAL, Entry, Event, Group, Step
from model.verbs import Verbs, as_it_ended
from model.work import job_of


class Model(Verbs):
    """All calls."""

    # By request

    def check(self, step: Step, state: str, value: int) -> Commits[None]:
        """Another host tells how a step ended."""
        yield
        result = {"value": shown(value)} if state == "completed" else None
        self.settle([Entry(step, state, result)])

    def cancel_wait(self, step: Step) -> Commits[bool]:
        yield
        group = next((group for group in step.groups.values() if group.open), None)
        if group is None or step.settled is not None:
            return False
        group.status, group.due = "cancelled", None
        self.waits_told += 1
        if group.key:
            self.wake(step)
        else:
            self.end_job(step, "cancelled", error=True)
            self.settle([Entry(step, "cancelled")])
        return True

    # Events

    def send(self, number: int, name: str, dedupe_id: str | None) -> Commits[str]:
        """To one workflow; how it was delivered, or why not."""
        workflow = self.workflows.get(number)
        yield
        if workflow is None:
            return "unknown"
        if self._is_duplicate(number, None, name, dedupe_id):
            return "duplicate"
        if workflow.outstanding == 0:
            return "finished"
        event = self._record(Event(self.sent + 1, name, number, None, dedupe_id))
        taker = next(
            (
                group
                for group in sorted(self.groups, key=lambda one: one.order)
                if group.step.workflow is workflow
                and group.status == "pending"
                and group.cutoff is None
                and name in group.waiting
                and group.step.settled is None
            ),
            None,
        )
        if taker is None:
            return "buffered"
        self.give(taker, event)
        self.decide([taker])
        return "settled" if taker.status == "completed" else "delivered"

    def send_by_key(self, key: str, name: str, dedupe_id: str | None) -> Commits[str]:
        yield
        if self._is_duplicate(None, key, name, dedupe_id):
            return "duplicate"
        event = self._record(Event(self.sent + 1, name, None, key, dedupe_id, state="open"))
        told = self.waits_told
        yield from self.spread(event)
        if self.waits_told > told:
            return "settled"
        return "delivered" if event.receivers else "buffered"

    def spread(self, event: Event) -> Commits[None]:
        """Hand an open event to all who wait with its key."""
        yield
        if event.state != "open":
            return
        event.newest = self.newest() if event.newest is None else event.newest
        takers = [
            group
            for group in self.groups
            if group.wait.key == event.key
            and event.name in group.waiting
            and event.is_for(group)
            and group.step.settled is None
            and group.left > 0
            and (group.cutoff is None or event.number <= group.cutoff)
        ]
        for group in takers:
            self.give(group, event)
        self.decide([group for group in takers if group.status == "pending"])
        event.state, event.overdue = "given" if event.receivers else "kept", None

    def _is_duplicate(
        self, number: int | None, key: str | None, name: str, dedupe_id: str | None
    ) -> bool:
        scope = (number, key, name, dedupe_id)
        for event in self.events if dedupe_id is not None else ():
            if (event.workflow, event.key, event.name, event.dedupe_id) == scope:
                event.duplicates += 1
                return True
        return False

    def _record(self, event: Event) -> Event:
        self.sent += 1
        self.events.append(event)
        return event

    # Sweeps

    def rescue(self) -> Commits[None]:
        """Give back what dead workers held; what was given back too often is discarded."""
        orphans = sorted(filter(self.is_orphan, self.steps), key=lambda step: step.id)
        given_up = [step for step in orphans if job_of(step).rescues >= MAX_RESCUES]
        for hopeless in (False, True):
            chosen = given_up if hopeless else [s for s in orphans if s not in given_up]
            if chosen:
                yield
                found = [Outcome(self.hold_of(s, job_of(s).claim), "available") for s in chosen]
                if hopeless:
                    self._fail([o._replace(state="discarded", error=True) for o in found])
                    continue
                for outcome in found:
                    self._requeue(outcome._replace(change=-1, error=True), rescued=True)

    def is_orphan(self, step: Step) -> bool:
        if step.job is None or step.job.state != "executing" or step.job.holder is None:
            return False
        return not self.workers[step.job.holder].alive

    def sweep(self) -> Commits[None]:
        """Settle what ended or vanished while nobody looked, workflow by workflow."""
        yield from self.sweep_found(self.ended())

    def ended(self) -> Mapping[int, list[Step]]:
        """What a sweep finds; the rows may change before it acts."""
        return {
            number: found
            for number, workflow in sorted(self.workflows.items())
            if (found := [s for s in workflow.steps if s.settled is None and _is_over(s)])
        }

    def sweep_found(self, found: Mapping[int, list[Step]]) -> Commits[None]:
        for steps in found.values():
            yield
            over = [step for step in steps if _is_over(step)]
            for job in (step.job for step in over if step.state == "discarded"):
                if job is not None and job.attempt not in job.explained:
                    job.note()
            self.settle(as_it_ended(over))

    def announce_all(self) -> Commits[None]:
        ended = [n for n, w in self.workflows.items() if w.outstanding == 0 and not w.announced]
        if ended:
            yield
            self.announce(ended)

    def expire(self) -> Commits[int]:
        """Settle waits whose time is over; finish handing out."""
        told = self.waits_told
        yield from self.expire_waits()
        yield from self.hand_out()
        return self.waits_told - told

    def expire_waits(self) -> Commits[None]:
        due = sorted(
            (group for group in self.groups if group.status == "pending" and group.due is not None),
            key=lambda group: (group.due, group.order),
        )
        careful = [g for g in due if g.key == "" and g.wait.on_timeout != "result"]
        simple = [group for group in due if group not in careful]
        looking = [group for group in simple if group.wait.key and group.cutoff is None]
        if looking:
            yield
            for group in looking:
                if not self.shown(group) and not group.received:
                    group.due = None
        simple = [group for group in simple if group.due is not None]
        if simple:
            yield
            self.decide(simple)
        for group in careful:
            yield
            self._decide_carefully(group)

    def hand_out(self) -> Commits[None]:
        overdue = [event for event in self.events if event.overdue is not None]
        for event in sorted(overdue, key=lambda one: one.overdue or 0):
            yield from self.spread(event)

    def _decide_carefully(self, group: Group) -> None:
        self.decide([group])
        if group.status == "pending" and group.cutoff is not None:
            group.status, group.due = "timeout", None
            self.waits_told += 1
            state = "cancelled" if group.wait.on_timeout == "cancel" else "discarded"
            self.end_job(group.step, state, error=True)
            self.settle([Entry(group.step, state)])

    def prune_jobs(self) -> Commits[None]:
        for state in ("completed", "cancelled", "discarded"):
            yield
            for step in self.steps:
                if step.workflow.announced and step.state == state:
                    step.lose_job()

    def prunable(self) -> list[int]:
        return [
            number
            for number, workflow in self.workflows.items()
            if workflow.announced and all(step.job is None for step in workflow.steps)
        ]

    def prune_workflows(self, found: Sequence[int]) -> Commits[None]:
        if found:
            yield
            self.drop(found)

    def drop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            workflow = self.workflows.get(number)
            if workflow and workflow.announced and all(s.job is None for s in workflow.steps):
                del self.workflows[number]
                gone = {group.id for step in workflow.steps for group in step.groups.values()}
                self.events = [event for event in self.events if event.workflow != number]
                for event in self.events:
                    event.taken_by = None if event.taken_by in gone else event.taken_by

    def stage(self) -> None:
        for step in self.steps:
            if step.state in ("scheduled", "retryable") and job_of(step).due:
                job_of(step).state = "available"


def _is_over(step: Step) -> bool:
    return step.job is None or step.job.state in TERMINAL
