"""The whole machine, and its end: everything that can happen happens, and all has settled."""

from __future__ import annotations

from model import comparison
from model.calls import Demand, Outcome
from model.requests import Requesting
from model.state import TERMINAL, Group
from model.sweeping import BETWEEN, Sweeping
from model.working import Working

ROUNDS = 40


class Machine(Working, Requesting, Sweeping):
    """All rules."""

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
        for due, rule in (
            (self._orphaned, self.rescue),
            (self.model.ended, self.sweep),
            (self._unannounced, self.announce),
            (self._due, self.expire),
        ):
            if due():
                self.then(rule, None)

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
        for part in (Working, Requesting, Sweeping)
        for name in vars(part)
        if not name.startswith("_")
    }
    # This one is made of others.
    return defined - {"sweep_between", "overtaken"} | between
