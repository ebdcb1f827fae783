"""What a wait wants, and what came of it: the whole table."""

from __future__ import annotations

import pickle
from copy import copy
from dataclasses import FrozenInstanceError
from typing import Any, get_args, get_type_hints

import pytest

from baton.core.waits import (
    Default,
    WaitCancelled,
    WaitEvents,
    WaitOutcome,
    WaitTimeout,
    Wanted,
    read_outcome,
    wanted,
    wanted_by_call,
)
from baton.errors import InvalidNameError, InvalidOptionError


def stored(outcome: str, *order: str, **more: Any) -> dict[str, Any]:
    """As the database gives it: objects there have no order of their own."""
    events = {name: f"{name}!" for name in sorted(order)}
    missing = [name for name in "abc" if name not in order]
    return {"outcome": outcome, "order": list(order), "events": events, "missing": missing, **more}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (stored("events", "b"), WaitEvents({"b": "b!"}, ("a", "c"))),
        (stored("events", "c", "a"), WaitEvents({"c": "c!", "a": "a!"}, ("b",))),
        (stored("events", "c", "b", "a"), WaitEvents({"c": "c!", "b": "b!", "a": "a!"})),
        (stored("timeout"), WaitTimeout({}, ("a", "b", "c"))),
        (stored("timeout", "b"), WaitTimeout({"b": "b!"}, ("a", "c"))),
        (stored("timeout", default=None), Default(None)),
        (stored("timeout", "a", default=False), Default(False)),
        (stored("cancelled", reason="no"), WaitCancelled("no")),
        (stored("cancelled", "a", reason=""), WaitCancelled("")),
    ],
)
def test_what_came_of_it(given: dict[str, Any], expected: Any) -> None:
    found = read_outcome(given)
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(found, WaitEvents):
        assert list(found.events) == given["order"]
        assert found.winner == given["order"][0]
        assert found[found.winner] == f"{found.winner}!"


def test_an_outcome_that_is_none() -> None:
    with pytest.raises(ValueError, match="a wait does not end as 'pending'"):
        read_outcome(stored("pending"))


@pytest.mark.parametrize(
    ("form", "expected", "shown"),
    [
        ({"any_of": ["a", "b"]}, Wanted(("a", "b"), 1), "1 of ['a', 'b']"),
        ({"all_of": ("a", "b")}, Wanted(("a", "b"), 2), "2 of ['a', 'b']"),
        ({"all_of": iter("a")}, Wanted(("a",), 1), "1 of ['a']"),
        ({"at_least": (2, ["a", "b", "c"])}, Wanted(("a", "b", "c"), 2), "2 of ['a', 'b', 'c']"),
        ({"at_least": [1, ["a"]]}, Wanted(("a",), 1), "1 of ['a']"),
    ],
)
def test_forms(form: dict[str, Any], expected: Wanted, shown: str) -> None:
    assert wanted(**form) == expected
    assert str(wanted(any_of=["a"])) == "1 of ['a']"
    assert str(expected) == shown


def test_many_names_are_shown_in_part() -> None:
    assert str(Wanted(tuple("abcdefghijkl"), 3)).endswith("'j', …]")
    assert str(Wanted((), 1)) == "a time"


@pytest.mark.parametrize("count", [0, -1, 4, True, 1.0, "2", None])
def test_counts_that_are_none(count: Any) -> None:
    with pytest.raises(InvalidOptionError, match="at_least"):
        wanted(at_least=(count, ["a", "b", "c"]))


@pytest.mark.parametrize("names", [[""], [" a"], ["a\0"], [5], [None], ["x" * 256]])
def test_names_that_are_none(names: Any) -> None:
    for form in ({"any_of": names}, {"all_of": names}, {"at_least": (1, names)}):
        with pytest.raises(InvalidNameError):
            wanted(**form)


PAIR = "at_least=(2, ['a', 'b', 'c'])"


@pytest.mark.parametrize(
    ("form", "advice"),
    [
        ({}, "any_of=None: expected exactly one of any_of, all_of and at_least, not 0, such as"),
        ({"all_of": ["a"], "at_least": (1, ["a"])}, "all_of=['a']: expected exactly one of"),
        ({"any_of": "a"}, "expected a list of names: any_of=['a']"),
        ({"all_of": ["a", "a"]}, "different names, such as all_of=['a', 'b']"),
        ({"at_least": (1, "ab")}, PAIR),
        ({"at_least": (["a", "b"], 1)}, PAIR),
        ({"at_least": (1, ["a", "a"])}, PAIR),
        ({"at_least": (1, [])}, PAIR),
        ({"at_least": (3, ["a"])}, PAIR),
    ],
)
def test_a_slip_is_answered_with_the_right_form(form: dict[str, Any], advice: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        wanted(**form)
    assert advice in caught.value.message


@pytest.mark.parametrize(
    ("call", "names", "count", "expected"),
    [
        ("wait_any", ("a", "b"), None, Wanted(("a", "b"), 1)),
        ("wait_all", ("a", "b"), None, Wanted(("a", "b"), 2)),
        ("wait_n", ("a", "b", "c"), 2, Wanted(("a", "b", "c"), 2)),
        ("wait_for", ["a"], None, Wanted(("a",), 1)),
    ],
)
def test_calls(call: str, names: Any, count: Any, expected: Wanted) -> None:
    assert wanted_by_call(call, names, count) == expected


@pytest.mark.parametrize(
    ("call", "names", "count", "advice"),
    [
        ("wait_any", (), None, "names=(): expected 1 to 1000 different names: wait_any('a', 'b')"),
        ("wait_any", (["a", "b"],), None, "the names one by one: wait_any('a', 'b')"),
        ("wait_all", ({"a"},), None, "the names one by one: wait_all('a', 'b')"),
        ("wait_all", ("a", "a"), None, "different names: wait_all('a', 'b')"),
        ("wait_for", (["a"],), None, "the names one by one: wait_for('a')"),
        ("wait_n", ("b", 1), "a", "count='a': expected a number before the names: wait_n(2, 'a'"),
        ("wait_n", (["a", "b"],), 1, "the names one by one: wait_n(2, 'a', 'b', 'c')"),
        ("wait_n", ("a", "b"), 3, "count=3: expected a number from 1 to that of the names, 2: "),
        ("wait_n", ("a", "b"), 0, "count=0: expected a number from 1 to that of the names, 2: "),
        ("wait_n", ("a",), True, "count=True: expected a number from 1 to that of the names, 1: "),
    ],
)
def test_a_slip_is_answered_with_the_right_call(
    call: str, names: Any, count: Any, advice: str
) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        wanted_by_call(call, names, count)
    assert advice in caught.value.message


def an_outcome() -> WaitOutcome[int]:
    return WaitCancelled("no")


def test_an_outcome_says_of_which_type_its_payloads_are() -> None:
    """At run time that is for reading only: every outcome is of the one class."""
    found = WaitEvents[int]({"b": 1, "a": 2})
    assert found == WaitEvents({"b": 1, "a": 2})
    assert isinstance(found, WaitEvents)
    assert (found.winner, found["a"]) == ("b", 2)
    assert WaitTimeout[int]() == WaitTimeout()
    for outcome in (found, WaitTimeout[int]({"a": 1}, ("b",))):
        assert copy(outcome) == pickle.loads(pickle.dumps(outcome)) == outcome
        with pytest.raises(FrozenInstanceError):
            outcome.missing = ()  # type: ignore[misc]
    hints = get_type_hints(an_outcome)
    assert get_args(hints["return"]) == (WaitEvents[int], WaitTimeout[int], WaitCancelled)
