"""Payloads against JSON schemas."""

from __future__ import annotations

from typing import Any

import pytest

from baton.core import payload_schema
from baton.errors import MissingExtraError

NUMBER = {"type": "integer", "minimum": 1}
PERSON = {
    "$defs": {"Name": {"type": "string", "minLength": 2}},
    "type": "object",
    "properties": {"by": {"$ref": "#/$defs/Name"}, "ages": {"type": "array", "items": NUMBER}},
    "required": ["by"],
}


@pytest.mark.parametrize(
    ("payload", "schemas", "wrong"),
    [
        (1, None, []),
        (0, {"other": NUMBER}, []),
        (1, {"x": NUMBER}, []),
        (1, {"*": NUMBER}, []),
        (None, {"*": NUMBER}, ["payload: None is not of type 'integer'"]),
        (True, {"x": NUMBER}, ["payload: True is not of type 'integer'"]),
        (0, {"*": NUMBER}, ["payload: 0 is less than the minimum of 1"]),
        ({"by": "ada", "ages": [1]}, {"*": PERSON}, []),
        ({}, {"*": PERSON}, ["payload: 'by' is a required property"]),
        ({"by": "a"}, {"*": PERSON}, ["['by']: 'a' is too short"]),
        (
            {"by": "ada", "ages": [1, 0]},
            {"*": PERSON},
            ["['ages'][1]: 0 is less than the minimum of 1"],
        ),
    ],
)
def test_problems(payload: Any, schemas: Any, wrong: list[str]) -> None:
    assert payload_schema.problems(payload, schemas, "x") == wrong


def test_many_problems_are_told_in_part() -> None:
    found = payload_schema.problems(["a" * 10_000] * 100, {"*": {"items": NUMBER}}, "x")
    assert len(found) == payload_schema.MOST_PROBLEMS
    assert max(map(len, found)) < 600


def test_nothing_is_fetched_from_the_network() -> None:
    with pytest.raises(Exception, match="Unresolvable"):
        payload_schema.problems(1, {"*": {"$ref": "http://127.0.0.1:1/schema.json"}}, "x")


def test_without_the_package_nothing_passes_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_schema, "_validator", None)
    assert payload_schema.problems(1, None, "x") == []
    with pytest.raises(MissingExtraError, match=r"pip install 'baton-workflows\[jsonschema\]'"):
        payload_schema.problems(1, {"*": NUMBER}, "x")
    with pytest.raises(MissingExtraError):
        payload_schema.require()
