"""How the steps of a new workflow begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from baton.core.plan import PlannedStep, plan
from baton.words.rows import NewStep, NewWait
from baton.words.states import JobState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = NOW + timedelta(microseconds=1)
WAIT = NewWait(("e",), 1)


def step(name: str = "a", *deps: str) -> NewStep:
    return NewStep(name, "w", "{}", deps=deps)


def planned(*steps: NewStep) -> list[PlannedStep]:
    return list(plan(steps, [step.name.upper() for step in steps], NOW))


@pytest.mark.parametrize(
    ("given", "state", "due"),
    [
        (NewStep("a", "w", "{}"), JobState.AVAILABLE, None),
        (NewStep("a", "w", "{}", schedule_in=60.0), JobState.SCHEDULED, NOW + timedelta(minutes=1)),
        (NewStep("a", "w", "{}", schedule_in=0.0), JobState.AVAILABLE, NOW),
        (NewStep("a", "w", "{}", schedule_at=SOON), JobState.SCHEDULED, SOON),
        (NewStep("a", "w", "{}", schedule_at=NOW), JobState.AVAILABLE, NOW),
        (NewStep("a", "w", "{}", wait=WAIT), JobState.SUSPENDED, None),
        (NewStep("a", "w", "{}", wait=WAIT, schedule_at=SOON), JobState.SUSPENDED, SOON),
    ],
)
def test_the_first_state(given: NewStep, state: JobState, due: datetime | None) -> None:
    (first,) = planned(given)
    assert (first.step, first.job_id, first.state, first.due) == (given, "A", state, due)


def test_a_step_with_dependencies_begins_suspended_and_keeps_its_time() -> None:
    _, second = planned(step("a"), NewStep("b", "w", "{}", deps=("a",), schedule_in=5.0))
    assert (second.state, second.due) == (JobState.SUSPENDED, NOW + timedelta(seconds=5))


def test_a_wait_counts_beside_the_dependencies() -> None:
    wait = NewStep("c", "w", "{}", deps=("a", "b"), wait=WAIT)
    plans = planned(step("a"), step("b"), wait, NewStep("d", "w", "{}", wait=WAIT))
    assert [plan.pending for plan in plans] == [0, 0, 3, 1]


def test_edges_are_job_ids_both_ways() -> None:
    last, first, middle = planned(step("z", "x", "y"), step("x"), step("y", "x"))
    assert (list(last.deps), list(last.dependents)) == (["X", "Y"], [])
    assert (list(first.deps), list(first.dependents)) == ([], ["Z", "Y"])
    assert (list(middle.deps), list(middle.dependents)) == (["X"], ["Z"])


def test_a_dependency_named_twice_counts_once() -> None:
    first, second = planned(step("a"), step("b", "a", "a"))
    assert (list(first.dependents), list(second.deps), second.pending) == (["B"], ["A"], 1)


def test_without_an_id_for_each_step_there_is_no_plan() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(plan([step("a"), step("b")], ["A"], NOW))


@given(st.lists(st.sets(st.integers(0, 20)), min_size=1, max_size=20))
def test_dependents_are_the_reversed_dependencies(above: list[set[int]]) -> None:
    names = [f"s{position}" for position in range(len(above))]
    steps = [
        step(names[at], *(names[dep] for dep in sorted(deps) if dep < at))
        for at, deps in enumerate(above)
    ]
    plans = planned(*steps)
    edges = {(dep, one.job_id) for one in plans for dep in one.deps}
    assert edges == {(one.job_id, below) for one in plans for below in one.dependents}
    assert [one.pending for one in plans] == [len(one.step.deps) for one in plans]
    assert {one.state for one in plans if not one.pending} == {JobState.AVAILABLE}


def test_alternatives_count_as_one_and_a_condition_as_one_more() -> None:
    a, b, c = planned(
        NewStep("a", "w", "{}"),
        NewStep("b", "w", "{}"),
        NewStep("c", "w", "{}", deps=("a", "b"), any_of=("a", "b")),
    )
    assert (a.dependents, b.dependents, c.deps, c.pending) == ((), (), ["A", "B"], 1)
    assert c.state is JobState.SUSPENDED
    a, b, c = planned(
        NewStep("a", "w", "{}"),
        NewStep("b", "w", "{}"),
        NewStep("c", "w", "{}", deps=("a", "b"), any_of=("b",), condition='{"when":{"a":1}}'),
    )
    assert (a.dependents, b.dependents, c.pending) == (["C"], (), 3)
    (_, wait) = planned(
        NewStep("a", "w", "{}"),
        NewStep("w", "w", "{}", deps=("a",), wait=WAIT, condition='{"when":{"a":1}}'),
    )
    assert wait.pending == 2
