"""What workers do: claim, perform, settle; commit by commit, see `calls.run`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model.calls import (
    Commits,
    Demand,
    Held,
    Outcome,
    Worker,
)
from model.graph import Graph, in_turn
from model.state import FAILED, Entry, Group, Job, Step


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
        if held.gated:
            verdict = step.gates()
            if verdict == "hold":
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
    ) -> Commits[list[tuple[Step, int]]]:
        """Settle what a worker hands in, then claim; returns the claimed."""
        heard: list[int] = []
        for part, write in self._parts(outcomes):
            left = [outcome for outcome in part if outcome.held.claim not in worker.noted]
            if left:
                yield from _commit(worker, heard)
                write(left)
                heard += [outcome.held.claim for outcome in left]
        found: list[tuple[Step, int]] = []
        if demands:
            found = [(s, c) for s in self.steps for c in worker.lost if self.holds(s, c)]
        claimed: list[tuple[Step, int]] = []
        completed = [outcome for outcome in outcomes if outcome.state == "completed"]
        if completed or demands:
            yield from _commit(worker, heard)
            claimed = self._batch(worker, completed, demands)
        return [*found, *claimed]

    def _parts(
        self, outcomes: Sequence[Outcome]
    ) -> list[tuple[list[Outcome], Callable[[Sequence[Outcome]], None]]]:
        """What is written before the completed ones, each part in a commit of its own."""
        requeued = [o for o in outcomes if o.state in ("available", "scheduled", "retryable")]
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
    ) -> list[tuple[Step, int]]:
        entries: list[Entry] = []
        for outcome in completed:
            if self.holds(outcome.held.step, outcome.held.claim):
                self.end_job(outcome.held.step, "completed")
                entries.append(Entry(outcome.held.step, "completed", {"value": outcome.value}))
        handed = self.settle(entries, {d.queue: d.room for d in demands})
        claimed = [self._claim(worker, step) for step in handed]
        for demand in demands:
            room = demand.room - sum(step.new.queue == demand.queue for step in handed)
            if demand.claim and room > 0:
                claimed += [self._claim(worker, s) for s in self.claimable(demand.queue)[:room]]
        # Until its reply is heard, each claim is lost.
        worker.lost += [claim for _, claim in claimed]
        return claimed

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
        return step, self.claims

    def hold_of(self, step: Step, claim: int) -> Held:
        """A claim as its reply tells it."""
        job = job_of(step)
        return Held(step, claim, job.attempt, job.max_attempts, step.settled, step.pending > 0)

    def _requeue_all(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._requeue(outcome)

    def _requeue(self, outcome: Outcome, *, rescued: bool = False) -> None:
        step = outcome.held.step
        if self.holds(step, outcome.held.claim):
            job = job_of(step)
            job.state = outcome.state
            job.explained |= {job.attempt} if outcome.error else set()
            job.attempt = max(job.attempt + outcome.change, 0)
            job.errors += outcome.error
            job.rescues += rescued
            if outcome.delay:
                job.due = False

    def _hold(self, outcomes: Sequence[Outcome]) -> None:
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

    def _fail(self, outcomes: Sequence[Outcome]) -> None:
        accepted = [o for o in outcomes if self.holds(o.held.step, o.held.claim)]
        for outcome in accepted:
            job = job_of(outcome.held.step)
            self.end_job(outcome.held.step, outcome.state, error=outcome.error)
            job.attempt = max(job.attempt + outcome.change, 0)
        self.settle(Entry(o.held.step, "skipped" if o.skipped else o.state) for o in accepted)

    def _suspend(self, outcomes: Sequence[Outcome]) -> None:
        armed: list[Step] = []
        for outcome in sorted(outcomes, key=lambda o: o.held.step.id):
            step = outcome.held.step
            if not self.holds(step, outcome.held.claim) or outcome.wait is None:
                continue
            job = job_of(step)
            job.state, job.attempt = "suspended", max(job.attempt - 1, 0)
            key, wait = outcome.wait
            group = step.groups.get(key)
            if group is None:
                step.groups[key] = Group(self.tick(), step, key, wait)
                armed.append(step)
            elif not group.open:
                job.state = "available"
        self.decide(self.arm(armed, new=True))


def _commit(worker: Worker, heard: list[int]) -> Commits[None]:
    """One commit of several: what was heard of those before is known, wherever it breaks."""
    try:
        yield
    except GeneratorExit:
        worker.noted.update(heard)
        raise
    worker.noted.update(heard)
    heard.clear()


def job_of(step: Step) -> Job:
    assert step.job is not None, f"step {step.id} has no job"
    return step.job
