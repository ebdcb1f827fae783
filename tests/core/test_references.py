"""References as they are stored: what is written is read, and no data is taken for one."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from baton.core.jsonvalue import encode
from baton.core.references import (
    INPUT,
    RESULT,
    Place,
    described,
    escaped,
    filled,
    may_refer,
    places,
    stored,
)
from support.signed_keys import plain, texts


def refuse(place: Place) -> Any:
    raise AssertionError(f"{place} was taken for a reference")


@given(plain)
def test_any_json_comes_back_as_it_was(value: Any) -> None:
    text = encode(escaped(value), what="args")
    assert json.loads(filled(text, refuse)) == value
    assert places(text) == []


@given(plain)
def test_what_may_not_refer_is_stored_as_it_is(value: Any) -> None:
    text = encode(value, what="args")
    if not may_refer(text):
        assert escaped(value) == value


@given(st.lists(texts, max_size=4), texts)
def test_any_place_is_read_as_it_was_written(path: list[str], step: str) -> None:
    for place in (Place(RESULT, step, tuple(path)), Place(INPUT, None, tuple(path))):
        text = encode({"$$data": [stored(place)]}, what="args")
        assert places(text) == [place]
        assert json.loads(filled(text, lambda found: {"$result": "data"})) == {
            "$data": [{"$result": "data"}]
        }


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"x": {"$item": "/a"}}, "'$item' is no reference that this version knows"),
        ({"x": {"$result": 5}}, "malformed"),
        ({"x": {"$result": "a", "path": 5}}, "5 is no JSON pointer"),
        ({"x": {"$result": "a", "path": "words"}}, "'words' is no JSON pointer"),
        ({"x": {"$result": "a", "paths": "/words"}}, "malformed"),
        ({"x": {"path": "/b", "$result": "a", "$input": ""}}, "malformed"),
        ({"x": {"$input": None}}, "None is no JSON pointer"),
        ({"x": {"$input": "", "path": "/a"}}, "malformed"),
        ({"$": 1}, "'$' is no reference"),
    ],
)
def test_what_is_malformed_is_refused(args: Any, problem: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 the text is compared
        places(json.dumps(args))
    assert problem in str(raised.value)


@pytest.mark.parametrize("levels", [900, 100_000])
def test_what_is_nested_without_end_is_no_crash(levels: int) -> None:
    text = '{"$$a":' * levels + "1" + "}" * levels
    with suppress(ValueError):
        filled(text, refuse)


@pytest.mark.parametrize(
    ("value", "path", "text"),
    [
        ({"a": 1, "b": 2}, ("c",), "there is an object without 'c' (it has 'a', 'b')"),
        ({}, ("c",), "there is an object without 'c' (it has nothing)"),
        ({"a": [1]}, ("a", "1"), "at '/a' is a list of 1, which has no '1'"),
        ({"a": [1]}, ("a", "x"), "at '/a' is a list of 1, which has no 'x'"),
        ([None], ("0", "x"), "at '/0' is null, which has no 'x'"),
        ("text", ("0",), "there is a text, which has no '0'"),
        (5, ("real",), "there is a number, which has no 'real'"),
        (True, ("0",), "there is a truth value, which has no '0'"),
    ],
)
def test_what_is_there_instead(value: Any, path: tuple[str, ...], text: str) -> None:
    assert described(value, path) == text
