"""Conditions and alternatives as they are added: what is taken, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from baton import Baton, Step, worker
from baton.errors import (
    InvalidNameError,
    InvalidOptionError,
    NotStorableError,
    TooLargeError,
    UnknownDependencyError,
)
from baton.handles.draft import draft_of
from baton.words.rows import NewStep


@worker
async def work(step: Step) -> None: ...


def added(**options: Any) -> NewStep:
    workflow = Baton(ignore_cancelled=False).add("x", work.new(), **options)
    return draft_of(workflow).steps["x"]


def test_alternatives_are_dependencies() -> None:
    step = added(deps=["a"], any_of=["b", "c", "b"])
    assert (step.deps, step.any_of, step.condition) == (("a", "b", "c"), ("b", "c"), None)


def test_a_condition_is_data() -> None:
    step = added(deps=["a", "b"], any_of=["c"], when={"a": {"ok": True}}, unless={"b": [1]})
    assert step.condition is not None
    assert json.loads(step.condition) == {"when": {"a": {"ok": True}}, "unless": {"b": [1]}}


def test_on_failure_ignores_failures() -> None:
    step = added(deps=["a"], on_failure=True)
    assert (step.ignore_cancelled, step.ignore_discarded) == (True, True)
    assert step.condition == '{"on_failure":true}'
    workflow = Baton().add("a", work.new()).wait("w", any_of=["e"], deps=["a"], on_failure=True)
    wait = draft_of(workflow).steps["w"]
    assert (wait.ignore_cancelled, wait.ignore_discarded) == (True, True)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"any_of": []}, InvalidOptionError, "at least one step, such as any_of=['a', 'b']"),
        ({"any_of": "a"}, InvalidOptionError, "any_of=['a']"),
        ({"any_of": [1]}, InvalidNameError, "any_of to be step names"),
        ({"deps": ["a"], "any_of": ["a"]}, InvalidOptionError, "not among deps"),
        ({"deps": ["a"], "when": {}}, InvalidOptionError, "when={'check': {'ok': True}}"),
        ({"deps": ["a"], "when": "a"}, InvalidOptionError, "when={'check': {'ok': True}}"),
        ({"when": {"a": 1}}, InvalidOptionError, "add deps=['a']"),
        ({"deps": ["a"], "unless": {"b": 1}}, InvalidOptionError, "add deps=['b']"),
        ({"any_of": ["b", "c"], "when": {"b": 1}}, InvalidOptionError, "no alternative, as 'b' is"),
        ({"deps": ["a"], "when": {"a": object()}}, NotStorableError, "the condition of a step"),
        ({"deps": ["a"], "when": {"a": "x" * 9_000}}, TooLargeError, "the condition of a step"),
        ({"on_failure": True}, InvalidOptionError, "deps=['a', …] beside it"),
        ({"any_of": ["a"], "on_failure": True}, InvalidOptionError, "no any_of"),
        ({"deps": ["a"], "on_failure": 1}, InvalidOptionError, "True or False"),
        (
            {"deps": ["a"], "on_failure": True, "ignore_cancelled": False},
            InvalidOptionError,
            "nothing beside on_failure=True",
        ),
    ],
)
def test_what_is_refused(options: dict[str, Any], error: type[Exception], says: str) -> None:
    workflow = Baton().add("a", work.new())
    with pytest.raises(error) as raised:
        workflow.add("x", work.new(), **options)
    assert says in str(raised.value)
    assert "x" not in workflow


def test_an_alternative_has_to_be_a_step() -> None:
    with pytest.raises(UnknownDependencyError, match="'nobody'"):
        Baton().add("a", work.new()).add("x", work.new(), any_of=["a", "nobody"]).validate()
