"""Rules of workers: claim, perform, settle, stall, die."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from baton import Cancel, Discard, Skip, Snooze, Step
from baton.core.waits import WaitCancelled, WaitEvents, WaitTimeout
from baton.runtime.executor import release
from baton.words import rows
from model.bench import Bench, pick_of
from model.calls import Crash, Demand, Held, Lost, Outcome
from model.drawing import crashes, picks, waits
from model.needs import shown
from model.state import Group, Wait
from model.world import acts

ENDINGS = (
    "finish_ok",
    "finish_ok",
    "finish_error",
    "finish_snooze",
    "finish_discard",
    "finish_cancel",
    "finish_skip",
    "finish_skip",
)
"""The rules of which one follows a claim."""


class Working(Bench):
    # Claiming, performing, settling

    @precondition(lambda self: self._claimable() or self._now_and_then())
    @rule(
        pick=picks,
        room=st.integers(1, 4),
        queue=st.sampled_from(["default", "io"]),
        crash=crashes,
    )
    def claim(self, pick: int, room: int, queue: str, crash: Crash | None) -> None:
        self._settle("claim", self._worker(pick), 0, [Demand(queue, room)], crash)

    @precondition(lambda self: any(self.buffer.values()))
    @rule(
        pick=picks,
        count=st.integers(1, 4),
        rooms=st.tuples(st.integers(0, 3), st.integers(0, 3)),
        claim=st.booleans(),
        crash=crashes,
    )
    def settle(
        self, pick: int, count: int, rooms: tuple[int, int], claim: bool, crash: Crash | None
    ) -> None:
        demands = [Demand(q, n, claim) for q, n in zip(("default", "io"), rooms, strict=True) if n]
        number = pick_of([number for number, buffer in self.buffer.items() if buffer], pick)
        self._settle("settle", number, count, demands, crash)

    def _settle(
        self,
        name: str,
        number: int,
        count: int,
        demands: Sequence[Demand],
        crash: Crash | None = None,
    ) -> None:
        worker, batch = self.model.workers[number], self.buffer[number][:count]
        engine = self.engines[number]
        given = [rows.Demand(*demand) for demand in demands]
        before = set(worker.lost)
        wanted, reply = self._call(
            name,
            self.model.settle_and_claim(worker, [outcome for outcome, _ in batch], demands),
            lambda: engine.ledger.settle([outcome for _, outcome in batch], given),
            crash,
        )
        if isinstance(wanted, Lost):
            return
        del self.buffer[number][:count]
        for outcome, _ in batch:
            worker.noted.pop(outcome.held.claim, None)
            worker.doubtful.discard(outcome.held.claim)
        reply.emit()
        late = {(o.job_id, o.attempted_at) for b, o in batch if b.held.claim in wanted.late}
        assert reply.stale == late, f"too late: {set(reply.stale)}, expected {late}"
        self.coverage.marks["outcome too late"] += len(reply.stale)
        known = {claim for _, claim in wanted.claimed} & before
        self.coverage.marks["claimed by a call whose reply was lost"] += len(known)
        assert all(isinstance(queue, str) for queue in reply.released), reply.released
        found = {job.id: job for job in reply.jobs}
        assert len(found) == len(reply.jobs)
        assert sorted(found) == sorted(step.id for step, _ in wanted.claimed)
        for step, claim in wanted.claimed:
            worker.lost.remove(claim)
            held = self.model.hold_of(step, claim)
            assert found[step.id].attempt == held.attempt
            self.held[number].append((held, found[step.id]))

    def _worker(self, pick: int) -> int:
        return pick_of(list(self.buffer), pick)

    def _perform(
        self,
        name: str,
        pick: int,
        wanted: Callable[[Held], Outcome],
        returned: Callable[[], object],
    ) -> None:
        self.rule = name
        number = pick_of([number for number, held in self.held.items() if held], pick)
        held, job = self.held[number].pop(pick % len(self.held[number]))
        expected = self.model.perform(held, wanted(held))
        came: list[object] = []

        async def body(step: Step) -> object:
            came.append(step.attempt)
            for place, wait in enumerate(held.step.script, start=1):
                outcome = await _waited(step, wait)
                group = held.step.groups[f"#{place}"]
                _as_told(outcome, group)
                self.coverage.marks[f"wait inside: {group.status}"] += 1
            return returned()

        acts[job.id] = body
        found = self.world.run(self.engines[number].performer.perform(job))
        self._mark(expected)
        assert bool(came) is expected.ran, f"the step's code ran: {came}"
        # I3: nothing runs before, or in spite of, what it depends on.
        # Unless somebody has taken it back since: then it is too late, or was before its time.
        behind = held.claim == held.step.ahead or not self.model.holds(held.step, held.claim)
        assert not expected.ran or behind or held.step.gates() == "run"
        self.buffer[number].append((expected, found))
        told = (
            expected.state,
            expected.value,
            expected.change,
            expected.error,
            expected.delay,
            expected.wait and expected.wait[0],
            expected.skipped,
        )
        assert _told(found) == told, f"{held.step.new.name}: {found}, expected {told}"

    def _mark(self, outcome: Outcome) -> None:
        marks, held = self.coverage.marks, outcome.held
        if outcome.ran:
            last = outcome.error and outcome.state == "discarded"
            marks["discarded after the last attempt"] += last and held.attempt >= held.max_attempts
        elif held.settled == "completed":
            marks["gate: stored"] += 1
        elif held.settled is not None:
            settled = "skipped" if outcome.skipped else "failed"
            marks[f"gate: settled as {settled}"] += 1
        elif outcome.state == "suspended":
            marks["gate: paused" if held.step.gates() == "run" else "gate: hold"] += 1
        else:
            marks["gate: skip" if outcome.skipped else "gate: cancel"] += 1

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks)
    def finish_ok(self, pick: int) -> None:
        self.values += 1
        value = self.values
        returned = shown(value)
        self._perform("finish_ok", pick, lambda h: Outcome(h, "completed", value), lambda: returned)

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks)
    def finish_error(self, pick: int) -> None:
        def fail() -> object:
            raise ValueError("as planned")

        def wanted(held: Held) -> Outcome:
            return Outcome(held, "retryable", error=True, delay=True, raised=True)

        self._perform("finish_error", pick, wanted, fail)

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks)
    def finish_snooze(self, pick: int) -> None:
        self._perform(
            "finish_snooze",
            pick,
            lambda h: Outcome(h, "scheduled", change=-1, delay=True),
            lambda: Snooze(3600),
        )

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks)
    def finish_discard(self, pick: int) -> None:
        self._perform(
            "finish_discard",
            pick,
            lambda h: Outcome(h, "discarded", error=True),
            lambda: Discard("as planned"),
        )

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks)
    def finish_cancel(self, pick: int) -> None:
        self._perform(
            "finish_cancel",
            pick,
            lambda h: Outcome(h, "cancelled", error=True),
            lambda: Cancel("as planned"),
        )

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks)
    def finish_skip(self, pick: int) -> None:
        self._perform(
            "finish_skip",
            pick,
            lambda h: Outcome(h, "cancelled", error=True, skipped=True),
            lambda: Skip("as planned"),
        )

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks)
    def finish_unstorable(self, pick: int) -> None:
        self._perform(
            "finish_unstorable", pick, lambda h: Outcome(h, "discarded", error=True), object
        )

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks, wait=waits, sleeps=st.booleans())
    def wait_inside(self, pick: int, wait: Wait, sleeps: bool) -> None:
        new = Wait((), 1, 3600.0) if sleeps and wait.default else wait

        def wanted(held: Held) -> Outcome:
            room = len(held.step.script) < 2
            self.values += 1
            return Outcome(held, "completed", self.values, wait=("", new) if room else None)

        self._perform("wait_inside", pick, wanted, lambda: shown(self.values))

    @precondition(lambda self: any(self.held.values()))
    @rule(pick=picks)
    def interrupt(self, pick: int) -> None:
        """An engine that stops gives back what it has not performed."""
        self.rule = "interrupt"
        number = pick_of([number for number, held in self.held.items() if held], pick)
        held, job = self.held[number].pop(pick % len(self.held[number]))
        self.buffer[number].append((Outcome(held, "available", change=-1), release(job)))

    @precondition(lambda self: any(self.held.values()) or self._claimable())
    @rule(
        pick=picks, how=st.sampled_from(ENDINGS) | waits, queue=st.sampled_from(["default", "io"])
    )
    def attempt(self, pick: int, how: str | Wait, queue: str) -> None:
        """From claim to outcome, whatever that is: chance alone would seldom come so far."""
        if not any(self.held.values()):
            self.then(self._settle, "claim", self._worker(pick), 0, [Demand(queue, 1 + pick % 3)])
        if any(self.held.values()):
            if isinstance(how, Wait):
                self.then(self.wait_inside, pick, how, pick % 2 == 0)
            else:
                self.then(getattr(self, how), pick)
            number = pick_of([n for n, buffer in self.buffer.items() if buffer], pick)
            self._settle("settle", number, 4, [])

    # Workers

    @precondition(lambda self: any(self.held.values()) or self._now_and_then())
    @rule(pick=picks)
    def kill(self, pick: int) -> None:
        self.rule = "kill"
        number = self._worker(pick)
        self.model.workers[number].alive = False
        self.world.beat(self.engines[number], alive=False)
        del self.held[number], self.buffer[number]
        self._hire()

    @precondition(lambda self: self._in_state("executing") or self._now_and_then())
    @rule(pick=picks)
    def stall(self, pick: int) -> None:
        self.rule = "stall"
        self._beat(self._worker(pick), alive=False)

    @precondition(lambda self: any(not self.model.workers[n].alive for n in self.buffer))
    @rule(pick=picks)
    def wake_stale(self, pick: int) -> None:
        """It goes on as if nothing had happened: what it has lost is fenced."""
        stale = [n for n in self.buffer if not self.model.workers[n].alive]
        number = pick_of(stale, pick)
        self._beat(number, alive=True)
        self._settle("wake_stale", number, len(self.buffer[number]), [])

    @precondition(lambda self: any(self.buffer.values()))
    @rule(pick=picks)
    def overtaken(self, pick: int) -> None:
        """A worker stalls, its jobs are rescued and claimed by another, then it goes on."""
        number = pick_of([number for number, buffer in self.buffer.items() if buffer], pick)
        other = next(n for n in self.buffer if n != number)
        self.then(self.stall, list(self.buffer).index(number))
        self.then(self.rescue, None)
        for queue in ("default", "io"):
            self.then(self._settle, "claim", other, 0, [Demand(queue, 9)])
        stale = [n for n in self.buffer if not self.model.workers[n].alive]
        self.wake_stale(stale.index(number))

    def _beat(self, number: int, *, alive: bool) -> None:
        self.model.workers[number].alive = alive
        self.world.beat(self.engines[number], alive=alive)

    @precondition(lambda self: self._orphaned() or self._now_and_then())
    @rule(crash=crashes)
    def rescue(self, crash: Crash | None) -> None:
        self._call("rescue", self.model.rescue(), self.world.rescue, crash)


def _told(outcome: rows.Outcome) -> tuple[object, ...]:
    value = None if outcome.result is None else json.loads(outcome.result)["value"]["n"]
    return (
        outcome.state,
        value,
        outcome.attempt_change,
        outcome.error is not None,
        outcome.delay is not None,
        outcome.wait and outcome.wait.replay_key,
        outcome.skipped,
    )


async def _waited(step: Step, wait: Wait) -> object:
    if not wait.names:
        return await step.sleep(wait.timeout or 0)
    options: dict[str, Any] = {"timeout": wait.timeout, "correlation_key": wait.key}
    if wait.default:
        options["default"] = "the default"
    return await step.wait_n(wait.need, *wait.names, **options)


def _as_told(outcome: object, group: Group) -> None:
    """I8: the step sees what the model says."""
    received = {name: event.number for name, event in group.received.items()}
    match group.status:
        case "cancelled":
            # A late attempt may come to a wait that was closed when its step ended.
            why = "the step ended without it" if group.unmet else "no"
            assert outcome == WaitCancelled(why), outcome
        case "timeout" if not group.wait.names:
            assert outcome is None
        case "timeout" if group.wait.default:
            assert outcome == "the default"
        case "timeout":
            assert isinstance(outcome, WaitTimeout)
            assert dict(outcome.received) == received
        case _:
            assert isinstance(outcome, WaitEvents)
            assert dict(outcome.events) == received
