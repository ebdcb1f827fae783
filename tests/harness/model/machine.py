"""The whole machine, and its end: everything that can happen happens, and all has settled."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from model import comparison
from model.asking import Asking
from model.calls import Crash, Demand, Outcome
from model.drawing import crashes, keys, names
from model.requests import Requesting
from model.retrying import Retrying
from model.state import TERMINAL, Group, NewStep, Wait
from model.sweeping import BETWEEN, Sweeping
from model.working import Working

ROUNDS = 40


class Machine(Working, Requesting, Retrying, Sweeping):
    """All rules."""

    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(
        key=keys,
        name=names,
        early=st.integers(0, 3),
        late=st.integers(0, 2),
        waiters=st.integers(2, 4),
        deps=st.booleans(),
        crash=crashes,
    )
    def many_by_key(
        self,
        key: str,
        name: str,
        early: int,
        late: int,
        waiters: int,
        deps: bool,
        crash: Crash | None,
    ) -> None:
        """Several events lie in the mailbox of a key, several waits come, then more events."""
        for number in range(early):
            # A sender that dies leaves an event open.
            self.then(self.send_key, key, name, None, None if number else crash)
        wait = Wait((name,), 1, key=key)
        above = [NewStep("above")] if deps else []
        gates = [
            NewStep(
                f"g{number}",
                tuple(step.name for step in above),
                max_attempts=20,
                queue="baton_waits",
                wait=wait,
            )
            for number in range(waiters)
        ]
        self.then(self.insert_workflow, [*above, *gates], 0, None)
        if deps:
            self._work_off(next(iter(self.buffer)))
        for _ in range(late):
            self.then(self.send_key, key, name, None, None)
        self.then(self.expire, None)

    def teardown(self) -> None:
        # What stands here was not compared: a rule has failed, and is told of.
        if self.rule or not self.sound:
            return
        for _ in range(ROUNDS):
            if self._rests():
                break
            self._go_on()
        assert not (wrong := comparison.ill_rested(self.model)), "\n".join(wrong)

    def _rests(self) -> bool:
        ended = all(w.announced for w in self.model.workflows.values())
        return ended and all(s.state in (None, *TERMINAL) for s in self.model.steps)

    def _go_on(self) -> None:
        """Whatever can happen happens, without faults."""
        while paused := self._paused():
            self.then(self.resume, list(self.ids).index(paused[0].number), None)
        for number in list(self.buffer):
            self._work_off(number)
        while self._not_due():
            self.then(self.job_due, 0)
        if self._stageable():
            self.then(self.stage)
        for group in list(self.model.groups):
            if group.status == "pending" and group.cutoff is None:
                self._end_wait(group)
        while late := [event for event in self._open_events() if event.overdue is None]:
            self.then(self.event_overdue, self._open_events().index(late[0]))
        for due, move in (
            (self._orphaned, self.rescue),
            (self.model.ended, self.sweep),
            (self._unannounced, self.announce),
            (self._due, self.expire),
        ):
            if due():
                self.then(move, None)

    def _work_off(self, number: int) -> None:
        """A worker claims all there is, finds what it lost, performs it and settles."""
        self._beat(number, alive=True)
        for queue in ("default", "io"):
            if self.model.claimable(queue) or self.model.workers[number].lost:
                self.then(self._settle, "claim", number, 100, [Demand(queue, 10)])
        while self.held[number]:
            self._finish(number)
        if self.buffer[number]:
            self.then(self._settle, "settle", number, 100, [])

    def _end_wait(self, group: Group) -> None:
        """By its deadline, or by an event where there is none."""
        if group.wait.timeout:
            self.then(self.deadline, self._with_deadline().index(group))
        else:
            workflow = list(self.ids).index(group.step.workflow.number)
            self.then(self.send_event, workflow, group.waiting[0], None, None)

    def _finish(self, number: int) -> None:
        order = [n for n, held in self.held.items() if held]
        # The place of this worker among those that hold something, of which the first job.
        place = order.index(number)
        while place % len(self.held[number]):
            place += len(order)
        self.values += 1
        value = self.values
        self._perform("finish_ok", place, lambda h: Outcome(h, "completed", value), lambda: value)
        self.agrees()


def rules() -> set[str]:
    """The names under which the rules are counted."""
    between = {f"sweep_and_{what}" for what in BETWEEN}
    defined = {
        name
        for part in (Working, Requesting, Asking, Retrying, Sweeping)
        for name in vars(part)
        if not name.startswith("_")
    }
    # These are made of others.
    return defined - {"sweep_between", "overtaken", "attempt"} | between
