"""The whole machine, and its end: everything that can happen happens, and all has settled."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from model import comparison
from model.asking import Asking
from model.bench import pick_of
from model.branching import Branching
from model.calls import Crash, Demand
from model.drawing import crashes, graphs, keys, names, picks, waits
from model.requests import Requesting
from model.resetting import STEPS, Retry
from model.retrying import Retrying
from model.state import TERMINAL, Group, NewStep, Wait
from model.sweeping import BETWEEN, Sweeping
from model.working import Working

ROUNDS = 40


LIVE = ("available", "suspended", "scheduled", "retryable", "executing")
TURNS = (
    "cancel",
    "complete",
    "complete",
    "pause",
    "resume",
    "again",
    "overruled",
    "retaken",
    "finish_ok",
    "finish_error",
    "finish_discard",
    "finish_skip",
    "wait",
    "wait again",
    "send",
    "begin",
    "end",
    "move",
    "overdue",
)
"""What is done to a workflow one after another; overruled, retaken: what has run to
its end is completed by hand, or begun anew, before it settles.
"""


class Machine(Branching):
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

    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(
        skips=st.sampled_from([(True, True), (True, True), (True, False), (False, True)]),
        flags=st.sampled_from([(False, False), (False, False), (True, False), (False, True)]),
        again=st.sampled_from(["c", "c", None, "a", "d"]),
        crash=crashes,
    )
    def skip_some(
        self,
        skips: tuple[bool, bool],
        flags: tuple[bool, bool],
        again: str | None,
        crash: Crash | None,
    ) -> None:
        """Steps are skipped, all above another one or not; then one of them is begun anew."""
        number = next(iter(self.buffer))
        self._work_off(number)
        below = [NewStep("c", ("a", "b"), run_when_skipped=flags[0])]
        below.append(NewStep("d", ("c",), run_when_skipped=flags[1]))
        self.then(self.insert_workflow, [NewStep("a"), NewStep("b"), *below], 0, None)
        self.then(self._settle, "claim", number, 0, [Demand("default", 2)])
        self.held[number].sort(key=lambda held: held[0].step.new.name)
        for skip in skips[: len(self.held[number])]:
            self.then(self.finish_skip if skip else self.finish_ok, self._place(number))
            self.then(self._settle, "settle", number, 100, [])
        if again is not None:
            self.values += 1
            self._begin_anew(len(self.ids), Retry(STEPS, (again,), (), self.values), crash)

    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(
        other=st.sampled_from(["late", "named", "early", "plain"]),
        skips=st.booleans(),
        forks=st.booleans(),
        crash=crashes,
    )
    def repair(self, other: str, skips: bool, forks: bool, crash: Crash | None) -> None:
        """A step dooms another one, which was cancelled by name before, or has been begun by hand
        and is performed early or late, before or after that has settled; then the first is
        completed, or what does not depend on it is forked.
        """
        worker = next(iter(self.buffer))
        self._work_off(worker)
        steps = [NewStep("a"), NewStep("c", ("a",)), NewStep("d", ("c",)), NewStep("e")]
        self.then(self.insert_workflow, steps, 0, None)
        number = len(self.ids)
        doomed = self.model.workflows[number].steps[1]
        if other == "named":
            self.then(self._cancel_step, number, "c", None)
        elif other != "plain":
            self.then(self._retry_by_hand, doomed)
        self.then(self._settle, "claim", worker, 0, [Demand("default", 3)])
        self.held[worker].sort(key=lambda held: held[0].step.new.name)
        while self.held[worker]:
            self.then(self.finish_skip if skips else self.finish_discard, self._place(worker))
            if other == "late":
                self.then(self._settle, "settle", worker, 100, [])
        if self.buffer[worker]:
            self.then(self._settle, "settle", worker, 100, [])
        if forks:
            self._fork(number, Retry(STEPS, ("e",)), crash)
        else:
            self._complete_step(number, "a", crash)

    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(wait=st.none() | waits, crash=crashes)
    def pause_meanwhile(self, wait: Wait | None, crash: Crash | None) -> None:
        """What another step waits for settles in a pause."""
        worker = next(iter(self.buffer))
        self._work_off(worker)
        queue, most = ("default", 1) if wait is None else ("baton_waits", 20)
        below = NewStep("b", ("a",), max_attempts=most, queue=queue, wait=wait)
        self.then(self.insert_workflow, [NewStep("a"), below], 0, None)
        number = len(self.ids)
        self._begin_one(worker)
        self.then(self._pause, number, None)
        while self.held[worker]:
            self._finish(worker)
        if self.buffer[worker]:
            self.then(self._settle, "settle", worker, 100, [])
        self._resume(number, crash)

    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(new=graphs(), turns=st.lists(st.tuples(st.sampled_from(TURNS), picks), min_size=3))
    def in_turn(self, new: list[NewStep], turns: list[tuple[str, int]]) -> None:
        """Many verbs on one workflow."""
        # A second attempt is left to each.
        new = [replace(step, max_attempts=max(step.max_attempts, 2)) for step in new]
        self.then(self.insert_workflow, new, 0, None, True)
        number, worker = len(self.ids), next(iter(self.buffer))
        self._beat(worker, alive=True)
        for turn, pick in turns[:8]:
            name = pick_of(new, pick).name
            match turn:
                case "cancel":
                    self.then(self._cancel_step, number, name, None)
                case "complete":
                    self.then(self._complete_step, number, name, None)
                case "pause":
                    self.then(self._pause, number, None)
                case "resume":
                    self.then(self._resume, number, None)
                case "again":
                    self.values += 1
                    retry = Retry(STEPS, (name,), (), self.values, interrupt=pick % 3 > 0)
                    self.then(self._begin_anew, number, retry, None)
                case "end":
                    live = [s for s in self.model.workflows[number].steps if s.state in LIVE]
                    if live:
                        self._end_by_hand("end_by_hand", pick_of(live, pick), "cancelled")
                        self.agrees()
                case "overdue":
                    for place, workflow in enumerate(self._with_end()):
                        if workflow.number == number:
                            self.then(self.deadline_passes, place)
                    self.then(self.cancel_overdue, None)
                case "move":
                    if found := self._movable(self.model.workflows[number].steps):
                        self.then(self._retry_by_hand, pick_of(found, pick))
                case "send":
                    self.then(self.send_event, number - 1, "x", None, None)
                case "begin":
                    self._begin_one(worker)
                case "wait again":
                    self._begin_one(worker)
                    first = [held.step for held, _ in self.held[worker]][:1]
                    own = [s.new.name for s in first if s.workflow.number == number]
                    self._perform_one(worker, "wait")
                    self.then(self.send_event, number - 1, "x", None, None)
                    retry = Retry(STEPS, tuple(own) or (name,), (), 0, interrupt=True)
                    self.then(self._begin_anew, number, retry, None)
                case _:
                    self._begin_one(worker)
                    self._perform_one(worker, turn)

    def _perform_one(self, worker: int, how: str) -> None:
        if self.held[worker]:
            step = self.held[worker][0][0].step
            rule = getattr(self, how, self.finish_ok)
            if how == "wait":
                self.then(self.wait_inside, self._place(worker), Wait(("x",), 1), False)
            else:
                self.then(rule, self._place(worker))
            if how == "overruled":
                self.then(self._complete_step, step.workflow.number, step.new.name, None)
            elif how == "retaken":
                retry = Retry(STEPS, (step.new.name,), interrupt=True)
                self.then(self._begin_anew, step.workflow.number, retry, None)
            self.then(self._settle, "settle", worker, 100, [])

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

    def _end_wait(self, group: Group) -> None:
        """By its deadline, or by an event where there is none."""
        if group.wait.timeout:
            self.then(self.deadline, self._with_deadline().index(group))
        else:
            workflow = list(self.ids).index(group.step.workflow.number)
            self.then(self.send_event, workflow, group.waiting[0], None, None)


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
