"""The tree of errors that `baton.errors` draws is the one there is, fields and all."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from baton import errors

WORDS = Path(errors.__file__).parent / "words"
KINDS: list[type[errors.BatonError]] = [
    getattr(errors, name) for name in errors.__all__ if name != "BatonError"
]
LINE = re.compile(r"^([│├└─ ]*)(\w+Error)\b(.*)$", re.MULTILINE)

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def drawn() -> dict[str, tuple[str, str]]:
    """Each error's parent and facts, as drawn."""
    tree: dict[str, tuple[str, str]] = {}
    above: list[str] = []
    text = re.sub(r"\n[│ ]{24,}", " ", errors.__doc__ or "")  # a line that goes on
    for indent, name, facts in LINE.findall(text):
        depth = len(indent) // 4
        above = [*above[:depth], name]
        tree[name] = (above[-2] if depth else "", facts)
    return tree


def definitions() -> dict[str, ast.ClassDef]:
    nodes = (
        node
        for file in WORDS.glob("*_error*.py")
        for node in ast.parse(file.read_text("utf-8")).body
    )
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


DRAWN, DEFINED = drawn(), definitions()


def annotated(name: str) -> set[str]:
    lines = [line.target for line in DEFINED[name].body if isinstance(line, ast.AnnAssign)]
    return {ast.unparse(target) for target in lines}


def given(name: str) -> set[str]:
    """The facts that the class's own constructor hands on by name."""
    calls = (node for node in ast.walk(DEFINED[name]) if isinstance(node, ast.Call))
    constructor = (call for call in calls if ast.unparse(call.func) == "super().__init__")
    return {keyword.arg for call in constructor for keyword in call.keywords if keyword.arg}


@each_kind
def test_an_error_is_drawn_below_its_base(kind: type[errors.BatonError]) -> None:
    assert DRAWN[kind.__name__][0] == kind.__mro__[1].__name__


@each_kind
def test_the_drawing_names_every_field(kind: type[errors.BatonError]) -> None:
    facts = re.findall(r"\w+", DRAWN[kind.__name__][1])
    assert annotated(kind.__name__) <= set(facts)


@each_kind
def test_every_fact_is_an_annotated_field(kind: type[errors.BatonError]) -> None:
    fields = set[str]().union(
        *(annotated(base.__name__) for base in kind.__mro__ if base.__name__ in DEFINED)
    )
    assert given(kind.__name__) <= fields


def test_facts_are_read() -> None:
    assert annotated("TooLargeError") == given("TooLargeError") == {"size", "limit"}
