"""A rule of graphs with conditions and alternatives, which chance alone would seldom play well."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from model.bench import pick_of
from model.calls import Demand
from model.drawing import picks
from model.playing import Playing
from model.resetting import STEPS, Retry
from model.state import TERMINAL, NewStep, Wait

ODD, EVEN = {"odd": 1}, {"odd": 0}
CHECK = (
    NewStep("check"),
    NewStep("pay", ("check",), when={"check": ODD}),
    NewStep("refuse", ("check",), unless={"check": ODD}),
)
GRAPHS = (
    (
        *CHECK,
        NewStep("tell", any_of=("pay", "refuse")),
        NewStep("alarm", ("pay",), True, True, on_failure=True),
    ),
    (
        *CHECK,
        NewStep("tell", any_of=("pay", "refuse"), ignore_discarded=True),
        NewStep("last", ("tell",), run_when_skipped=True, unless={"tell": ODD}),
    ),
    (
        *(NewStep(name) for name in "abc"),
        NewStep("any", ("c",), any_of=("a", "b"), when={"c": ODD}),
        NewStep("both", ("a", "any"), ignore_cancelled=True, unless={"a": ODD, "any": EVEN}),
    ),
    (
        *(NewStep(name) for name in "ab"),
        NewStep("x", ("a",), when={"a": EVEN}),
        NewStep("y", ("x",), run_when_skipped=True, when={"x": ODD}),
        NewStep("any", any_of=("x", "y", "b"), max_attempts=2),
    ),
    (
        NewStep("a"),
        NewStep(
            "g", ("a",), max_attempts=20, queue="baton_waits", wait=Wait(("x",), 1), when={"a": ODD}
        ),
        NewStep("b", ("g",), when={"g": {"outcome": "events"}}),
        NewStep("any", any_of=("g", "a")),
        NewStep("below", ("any", "b"), True, True, on_failure=True),
    ),
    (
        *(NewStep(name) for name in "ab"),
        NewStep("c", ("b",)),
        NewStep("d", ("a", "c")),
        NewStep("e", any_of=("c", "d"), ignore_cancelled=True),
    ),
)
ENDINGS = (
    "finish_ok",
    "finish_ok",
    "finish_ok",
    "finish_discard",
    "finish_skip",
    "finish_error",
    "interrupt",
    "wait",
)
AGAIN = (
    (
        *(NewStep(name) for name in "ab"),
        NewStep("s", ("a",), True, True, unless={"a": ODD}, max_attempts=2),
        NewStep("t", any_of=("a", "s"), ignore_discarded=True),
    ),
    (
        *(NewStep(name) for name in "ab"),
        NewStep("c", ("b",)),
        NewStep("s", ("a", "c"), ignore_cancelled=True),
        NewStep("t", any_of=("c", "s")),
    ),
    (
        *(NewStep(name) for name in "abc"),
        NewStep("s", ("c",), False, True, any_of=("a", "b"), when={"c": ODD}),
        NewStep("t", ("s",), True, True, on_failure=True),
    ),
    (
        *(NewStep(name) for name in "ab"),
        NewStep("s", any_of=("a", "b"), run_when_skipped=True),
        NewStep("t", ("s", "a"), True, True, when={"a": EVEN}),
    ),
)
"""What `s` needs is undone while it runs."""
FIRST = (
    "finish_ok",
    "finish_ok",
    "finish_discard",
    "finish_discard",
    "finish_skip",
    "finish_skip",
    "by hand",
)
VERBS = ("repair", "repair", "complete a", "complete b", "again a", "again b", "nothing")
FAILS = ("finish_discard", "finish_discard")
STORIES = (
    (AGAIN[0], FAILS, "", "wait", "", "repair"),
    (AGAIN[0], FAILS, "", "wait later", "", "repair"),
    (AGAIN[0], FAILS, "", "wait later", "", "complete a"),
    (AGAIN[1], FAILS, "moved", "runs", "", "complete b"),
    (AGAIN[2], FAILS, "", "runs", "", "again b"),
    (AGAIN[3], FAILS, "", "runs", "", "complete b"),
    (AGAIN[0], ("by hand", "finish_ok"), "moved", "finish_ok", "", "nothing"),
)
"""What `decide_again` would seldom come to."""
TURNS = (
    *ENDINGS,
    *ENDINGS,
    "claim",
    "claim",
    "settle",
    "move",
    "pause",
    "resume",
    "send",
    "again",
    "repair",
    "complete",
    "cancel",
    "fork",
    "delete",
    "sweep",
)
"""What is done to a branching workflow; `move`: a step that sleeps, or has ended, runs by hand."""


class Branching(Playing):
    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(
        new=st.sampled_from(GRAPHS),
        moves=st.sampled_from([True, True, False]),
        turns=st.lists(st.tuples(st.sampled_from(TURNS), picks), min_size=4, max_size=16),
    )
    def branch(self, new: tuple[NewStep, ...], moves: bool, turns: list[tuple[str, int]]) -> None:
        """Branches come and go and come together again."""
        worker = next(iter(self.buffer))
        self._work_off(worker)
        # A second attempt is left to each.
        steps = [replace(step, max_attempts=max(step.max_attempts, 2)) for step in new]
        self.then(self.insert_workflow, steps, 0, None)
        number = len(self.ids)
        if moves:
            self._turn(number, worker, "move", len(turns) + turns[0][1])
        self.then(self._settle, "claim", worker, 0, [Demand("default", 10)])
        for turn, pick in turns:
            self._turn(number, worker, turn, pick)
        if self.buffer[worker]:
            self.then(self._settle, "settle", worker, 100, [])

    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(
        new=st.sampled_from(AGAIN),
        first=st.tuples(st.sampled_from(FIRST), st.sampled_from(FIRST)),
        early=st.sampled_from(["", "", "moved", "moved", "gone"]),
        begun=st.sampled_from(["runs", "wait", "wait later", "interrupt"]),
        pauses=st.sampled_from(["", "first", "verb"]),
        verb=st.sampled_from(VERBS),
        then=st.tuples(st.sampled_from(FIRST), st.sampled_from(FIRST)),
        last=st.sampled_from(ENDINGS),
    )
    def decide_again(
        self,
        new: tuple[NewStep, ...],
        first: tuple[str, str],
        early: str,
        begun: str,
        pauses: str,
        verb: str,
        then: tuple[str, str],
        last: str,
    ) -> None:
        """What a step needs ends, is undone and comes to something else while the step runs, waits
        or is given back.
        """
        worker = next(iter(self.buffer))
        self._work_off(worker)
        self.then(self.insert_workflow, list(new), 0, None)
        number = len(self.ids)
        if early:
            change = self._retry_by_hand if early == "moved" else self._delete_by_hand
            steps = self.model.workflows[number].steps
            self.then(change, next(s for s in steps if s.new.name == "s"))
        self._claim_all(worker)
        if pauses == "first":
            self.then(self._pause, number, None)
        for name, how in zip("ab", first, strict=True):
            self._end(worker, number, name, how)
        if pauses == "first":
            self.then(self._resume, number, None)
        self._claim_all(worker)
        if begun in ENDINGS:
            self._end(worker, number, "s", begun)
        if pauses == "verb":
            self.then(self._pause, number, None)
        self.values += 1
        match verb:
            case "repair":
                self.then(self._begin_anew, number, Retry("failed"), None)
            case "again a" | "again b":
                retry = Retry(STEPS, (verb[-1],), (), self.values, interrupt=True)
                self.then(self._begin_anew, number, retry, None)
            case "complete a" | "complete b":
                self.then(self._complete_step, number, verb[-1], None)
        if begun == "wait later":
            self._end(worker, number, "s", "wait")
        if pauses == "verb":
            self.then(self._resume, number, None)
        self._claim_all(worker)
        for name, how in zip("abc", (*then, "finish_ok"), strict=True):
            self._end(worker, number, name, how)
        self._end(worker, number, "s", last)
        self._claim_all(worker)

    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(
        story=st.sampled_from(STORIES),
        then=st.tuples(st.sampled_from(FIRST), st.sampled_from(FIRST)),
        last=st.sampled_from(ENDINGS),
    )
    def undo(
        self,
        story: tuple[tuple[NewStep, ...], tuple[str, str], str, str, str, str],
        then: tuple[str, str],
        last: str,
    ) -> None:
        self.decide_again(*story, then, last)

    def _claim_all(self, worker: int) -> None:
        self.then(self._settle, "claim", worker, 0, [Demand("default", 20)])

    def _end(self, worker: int, number: int, name: str, how: str) -> None:
        """One that the worker holds, of this workflow, comes to its end."""
        step = self.model.workflows[number].find(name)
        if how == "by hand":
            if step is not None and step.job is not None and step.state not in TERMINAL:
                self.then(self._end_by_hand, "end_by_hand", step, "completed")
            return
        for place, (held, _) in enumerate(self.held[worker]):
            if held.step is step:
                self._end_one(worker, how, place)
                break
        if self.buffer[worker]:
            self.then(self._settle, "settle", worker, 100, [])

    def _turn(self, number: int, worker: int, turn: str, pick: int) -> None:
        workflow = self.model.workflows.get(number)
        if workflow is None:
            return
        name = pick_of(workflow.steps, pick).new.name
        self.values += 1
        match turn:
            case "claim":
                self.then(self._settle, "claim", worker, 0, [Demand("default", 1 + pick % 4)])
            case "settle" if self.buffer[worker]:
                demands = [Demand("default", 2)] if pick % 2 else []
                self.then(self._settle, "settle", worker, 100, demands)
            case "move":
                if found := self._movable(workflow.steps):
                    self.then(self._retry_by_hand, pick_of(found, pick))
            case "pause":
                self.then(self._pause, number, None)
            case "resume":
                self.then(self._resume, number, None)
            case "send":
                self.then(self.send_event, list(self.ids).index(number), "x", None, None)
            case "again":
                retry = Retry(STEPS, (name,), (), self.values, interrupt=pick % 3 > 0)
                self.then(self._begin_anew, number, retry, None)
            case "repair":
                mode = ("failed", "failed_and_downstream", "all")[pick % 3]
                self.then(self._begin_anew, number, Retry(mode, interrupt=pick % 2 > 0), None)
            case "complete":
                self.then(self._complete_step, number, name, None)
            case "cancel":
                self.then(self._cancel_step, number, name, None)
            case "fork" if len(self.model.workflows) < 5:
                self.then(self._fork, number, Retry(STEPS, (name,)), None)
            case "delete":
                step = pick_of(workflow.steps, pick)
                if step.job is not None:
                    self.then(self._delete_by_hand, step)
            case "sweep":
                self.then(self.sweep, None)
            case _ if turn in ENDINGS and self.held[worker]:
                self._end_one(worker, turn, pick)

    def _end_one(self, worker: int, how: str, pick: int) -> None:
        held = self.held[worker]
        # Any of those it holds.
        held.insert(0, held.pop(pick % len(held)))
        if how == "wait":
            self.then(self.wait_inside, self._place(worker), Wait(("x",), 1), False)
        else:
            self.then(getattr(self, how, self.finish_ok), self._place(worker))
        if pick % 4:
            self.then(self._settle, "settle", worker, 100, [])
