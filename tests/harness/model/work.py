"""What workers do: claim, perform, settle; commit by commit, see `calls.run`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from model.calls import (
    Commits,
    Demand,
    Held,
    Outcome,
    Worker,
)
from model.graph import Graph, in_turn
from model.needs import shown
from model.state import FAILED, Entry, Group, Job, Step

REQUEUED = ("available", "scheduled", "retryable")


class Settled(NamedTuple):
    """The claimed jobs, and the claims of the outcomes that came too late."""

    claimed: list[tuple[Step, int]]
    late: set[int]


class Work(Graph):
    """Workers are known by their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: dict[int, Worker] = {}
        self.claims = 0

    # Claiming and performing

    def holds(self, step: Step, claim: int) -> bool:
        return step.job is not None and step.job.state == "executing" and step.job.claim == claim

    def perform(self, held: Held, wanted: Outcome) -> Outcome:
        """What comes of an attempt whose code, where it runs to its end, wants this."""
        step = held.step
        if held.settled == "completed":
            return Outcome(held, "completed")
        if held.settled == "skipped":
            return Outcome(held, "cancelled", change=-1, skipped=True)
        if held.settled is not None:
            return Outcome(held, held.settled, change=-1)
        pruned = self.workflows.get(step.workflow.number) is not step.workflow
        # Of a workflow that is gone nothing is known: what comes of it is late in any case.
        if held.gated and not pruned:
            verdict = step.gates()
            if verdict == "hold" or (verdict == "run" and step.workflow.paused):
                return Outcome(held, "suspended", change=-1)
            if verdict != "run":
                return Outcome(held, "cancelled", error=True, skipped=verdict == "skip")
        if wanted.wait is not None:
            step.script.append(wanted.wait[1])
        for number, wait in enumerate(step.script, start=1):
            group = step.groups.get(f"#{number}")
            if group is None or group.open:
                key = f"#{number}"
                return Outcome(held, "suspended", change=-1, wait=(key, wait), ran=True)
        if wanted.state == "retryable" and held.attempt >= held.max_attempts:
            return wanted._replace(state="discarded", delay=False, ran=True)
        return wanted._replace(ran=True)

    def settle_and_claim(
        self, worker: Worker, outcomes: Sequence[Outcome], demands: Sequence[Demand]
    ) -> Commits[Settled]:
        """Settle what a worker hands in, then claim."""
        heard: dict[int, bool] = {}
        for part, write in self._parts(outcomes):
            left = [outcome for outcome in part if outcome.held.claim not in worker.noted]
            if not left:
                continue
            doubts = {o.held.claim for o in left} if left[0].state in REQUEUED else set[int]()
            doubted, worker.doubtful = worker.doubtful, worker.doubtful | doubts
            yield from _commit(worker, heard)
            written = write(left)
            heard.update((o.held.claim, o.held.claim in written) for o in left)
            if doubts:
                heard.update((o.held.claim, True) for o in left if _seen(o, doubted))
        found: list[tuple[Step, int]] = []
        if demands:
            found = [(s, c) for s in self.steps for c in worker.lost if self.holds(s, c)]
        claimed: list[tuple[Step, int]] = []
        late: set[int] = set()
        completed = [outcome for outcome in outcomes if outcome.state == "completed"]
        if completed or demands:
            known = dict(heard)
            yield from _commit(worker, heard)
            heard = known
            claimed, late = self._batch(worker, completed, demands)
        for claim, accepted in {**worker.noted, **heard}.items():
            if not accepted and any(o.held.claim == claim for o in outcomes):
                late.add(claim)
        return Settled([*found, *claimed], late)

    def _parts(
        self, outcomes: Sequence[Outcome]
    ) -> list[tuple[list[Outcome], Callable[[Sequence[Outcome]], set[int]]]]:
        """What is written before the completed ones, each part in a commit of its own; returns the
        claims of what is.
        """
        requeued = [o for o in outcomes if o.state in REQUEUED]
        suspended = [o for o in outcomes if o.state == "suspended"]
        failed = [o for o in outcomes if o.state in FAILED]
        return [
            (requeued, self._requeue_all),
            ([o for o in suspended if o.wait is None], self._hold),
            ([o for o in suspended if o.wait is not None], self._suspend),
            (failed, self._fail),
        ]

    def _batch(
        self, worker: Worker, completed: Sequence[Outcome], demands: Sequence[Demand]
    ) -> tuple[list[tuple[Step, int]], set[int]]:
        entries: list[Entry] = []
        late: set[int] = set()
        for outcome in completed:
            job, claim = outcome.held.step.job, outcome.held.claim
            if self.holds(outcome.held.step, outcome.held.claim):
                self.end_job(outcome.held.step, "completed")
                result = {"value": shown(outcome.value)}
                entries.append(Entry(outcome.held.step, "completed", result))
            elif job is None or job.state != "completed" or job.claim != claim:
                late.add(claim)
        handed = self.settle(entries, {d.queue: d.room for d in demands})
        claimed = [self._claim(worker, step) for step in handed]
        for demand in demands:
            room = demand.room - sum(step.new.queue == demand.queue for step in handed)
            if demand.claim and room > 0:
                claimed += [self._claim(worker, s) for s in self.claimable(demand.queue)[:room]]
        # Until its reply is heard, each claim is lost.
        worker.lost += [claim for _, claim in claimed]
        return claimed, late

    def claimable(self, queue: str) -> list[Step]:
        """What may be claimed, in order."""
        found = [
            step
            for step in self.steps
            if step.job is not None
            and step.job.state == "available"
            and step.new.queue == queue
            and step.new.wait is None
            and step.job.attempt < step.job.max_attempts
        ]
        return sorted(found, key=in_turn)

    def _claim(self, worker: Worker, step: Step) -> tuple[Step, int]:
        self.claims += 1
        job = job_of(step)
        job.state, job.claim, job.holder = "executing", self.claims, worker.number
        job.attempt += 1
        step.begun = True
        return step, self.claims

    def hold_of(self, step: Step, claim: int) -> Held:
        """A claim as its reply tells it."""
        job = job_of(step)
        return Held(step, claim, job.attempt, job.max_attempts, step.settled, step.pending > 0)

    def _requeue_all(self, outcomes: Sequence[Outcome]) -> set[int]:
        written = {o.held.claim for o in outcomes if self.holds(o.held.step, o.held.claim)}
        for outcome in outcomes:
            self._requeue(outcome)
        return written

    def _requeue(self, outcome: Outcome, *, rescued: bool = False) -> None:
        step = outcome.held.step
        if self.holds(step, outcome.held.claim):
            job = job_of(step)
            job.state = outcome.state
            if outcome.error:
                job.note()
            if outcome.raised:
                job.raised.add(job.attempt)
            job.attempt = max(job.attempt + outcome.change, 0)
            job.rescues += rescued
            if outcome.delay:
                job.due = False

    def _hold(self, outcomes: Sequence[Outcome]) -> set[int]:
        written = {o.held.claim for o in outcomes if self.holds(o.held.step, o.held.claim)}
        gates = [o.held.step.gates() for o in outcomes]
        doomed = [
            o._replace(skipped=verdict == "skip")
            for o, verdict in zip(outcomes, gates, strict=True)
            if verdict in ("cancel", "skip")
        ]
        for outcome, verdict in zip(outcomes, gates, strict=True):
            step = outcome.held.step
            if verdict in ("run", "hold") and self.holds(step, outcome.held.claim):
                job = job_of(step)
                job.state = "suspended" if step.pending else "available"
                job.attempt = max(job.attempt - 1, 0)
        self._fail([o._replace(state="cancelled", change=0, error=True) for o in doomed])
        self.open_steps(o.held.step for o in outcomes if o.held.claim in written)
        return written

    def _fail(self, outcomes: Sequence[Outcome]) -> set[int]:
        accepted = [o for o in outcomes if self.holds(o.held.step, o.held.claim)]
        for outcome in accepted:
            job = job_of(outcome.held.step)
            self.end_job(outcome.held.step, outcome.state, error=outcome.error)
            job.raised |= {job.attempt} if outcome.raised else set()
            job.attempt = max(job.attempt + outcome.change, 0)
        self.settle(Entry(o.held.step, "skipped" if o.skipped else o.state) for o in accepted)
        return {o.held.claim for o in accepted}

    def _suspend(self, outcomes: Sequence[Outcome]) -> set[int]:
        armed: list[Step] = []
        written: set[int] = set()
        for outcome in sorted(outcomes, key=lambda o: o.held.step.id):
            step = outcome.held.step
            assert outcome.wait is not None
            key, wait = outcome.wait
            group = step.groups.get(key)
            if not self.holds(step, outcome.held.claim):
                written |= {outcome.held.claim} if _echoes(outcome, group) else set()
                continue
            written.add(outcome.held.claim)
            job = job_of(step)
            job.state, job.attempt = "suspended", max(job.attempt - 1, 0)
            if step.doomed or step.unneeded:
                # No cascade comes a second time: the gate decides.
                job.state = "available"
            elif group is None:
                step.groups[key] = Group(self.tick(), step, key, wait)
                # One that has begun and waits is not decided on again.
                step.undecided = False
                armed.append(step)
            elif not group.open and step.pending == 0:
                job.state = "available"
            elif not group.open:
                self.open_steps([step])
        self.decide(self.arm(armed, new=True))
        return written


def _seen(outcome: Outcome, doubted: set[int]) -> bool:
    """Whether one that was perhaps given back before is seen to be."""
    job = outcome.held.step.job
    if job is None or outcome.held.claim not in doubted:
        return False
    if outcome.error:
        return outcome.held.attempt in job.raised
    waits = job.state in ("available", "scheduled")
    return waits and job.claim == outcome.held.claim and job.last != outcome.held.attempt


def _echoes(outcome: Outcome, group: Group | None) -> bool:
    """Whether a commit without a reply has put it to sleep."""
    job = outcome.held.step.job
    if job is None or job.claim != outcome.held.claim:
        return False
    step = outcome.held.step
    if job.state == "available" and (step.doomed or step.unneeded):
        return True
    if group is None:
        return False
    return job.state == "suspended" or (job.state == "available" and not group.open)


def _commit(worker: Worker, heard: dict[int, bool]) -> Commits[None]:
    """One commit of several: what was heard of those before is known, wherever it breaks."""
    try:
        yield
    except GeneratorExit:
        worker.noted.update(heard)
        worker.doubtful.difference_update(heard)
        raise
    worker.noted.update(heard)
    worker.doubtful.difference_update(heard)
    heard.clear()


def job_of(step: Step) -> Job:
    assert step.job is not None, f"step {step.id} has no job"
    return step.job
