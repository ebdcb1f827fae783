"""What annotations say of parts and of types that cannot fit: only what is certain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypeVar
from uuid import UUID

import pytest
from annotated_types import Gt
from pydantic import BaseModel, BeforeValidator, ConfigDict, RootModel, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from baton.core.annotations import NoPartError, cannot_fit, part

T = TypeVar("T")


class Page(BaseModel):
    title: str | None = None
    words: list[str] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: int = 0


class Anything(BaseModel):
    x: int = 0

    @model_validator(mode="before")
    @classmethod
    def read(cls, given: Any) -> Any:
        return {"x": given} if isinstance(given, int) else given


class Names(RootModel[list[str]]):
    pass


@dataclass
class Point:
    x: int
    y: float


@pydantic_dataclass
class Checked:
    x: int


class Pair(NamedTuple):
    left: int
    right: str


class Facts(TypedDict):
    size: int


class Color(Enum):
    RED = "red"


Amount = NewType("Amount", int)


@pytest.mark.parametrize(
    ("annotation", "key", "attribute", "expected"),
    [
        (Page, "words", True, (list[str], "words")),
        (Page | None, "words", True, (list[str], "words")),
        (Page | Point, "x", True, (int, "x")),
        (Annotated[Page, "said"], "title", True, (str | None, "title")),
        (Open, "other", True, (Any, "other")),
        (Point, "y", True, (float, "y")),
        (Checked, "x", True, (int, "x")),
        (Facts, "size", False, (int, "size")),
        (Pair, "right", True, (str, "1")),
        (Pair, 1, False, (Any, "1")),
        (Names, "root", True, (list[str], None)),
        (list[int], 3, False, (int, "3")),
        (list[int], -1, False, (int, "-1")),
        (tuple[int, str], 1, False, (str, "1")),
        (tuple[int, ...], 9, False, (int, "9")),
        (dict[str, Page], "a", False, (Page, "a")),
        (dict, "a", False, (Any, "a")),
        (Any, "a", True, (Any, "a")),
        (object, "a", True, (Any, "a")),
        (T, 0, False, (Any, "0")),
    ],
)
def test_a_part(annotation: Any, key: str | int, attribute: bool, expected: Any) -> None:
    assert part(annotation, key, attribute=attribute) == expected


@pytest.mark.parametrize(
    ("annotation", "key", "attribute", "problem"),
    [
        (Page, "wrods", True, "Page has no field 'wrods' (its fields: title, words); did you mean"),
        (Page, "model_dump", True, "no field 'model_dump'"),
        (Page | None, "x", True, "no field 'x'"),
        (Point, "z", True, "Point has no field 'z' (its fields: x, y)"),
        (Facts, "x", False, "Facts has no field 'x'"),
        (Pair, "middle", True, "Pair has no field 'middle'"),
        (list[int], "append", True, "take an item by its number"),
        (list[int], "0", False, "take an item by its number"),
        (tuple[int, str], 2, False, "a tuple of 2 has no item 2"),
        (dict[str, int], "keys", True, "take ['keys']"),
        (str, "upper", True, "str is a single value in JSON"),
        (int, 0, False, "int is a single value in JSON"),
        (datetime, "year", True, "datetime is a single value in JSON"),
        (Color, "value", True, "Color is a single value in JSON"),
        (None | str, 0, False, "str is a single value"),
    ],
)
def test_no_part(annotation: Any, key: str | int, attribute: bool, problem: str) -> None:
    with pytest.raises(NoPartError) as raised:
        part(annotation, key, attribute=attribute)
    assert problem in str(raised.value)


NEVER = [
    (int, str),
    (bool, list[int]),
    (str, list[str]),
    (list[str], str),
    (Page, str),
    (Page, list[Any]),
    (list[Page], Page),
    (dict[str, int], list[int]),
    (None, int),
    (int | None, str),
    (Pair, Page),
    (Point, int),
    (Facts, int),
    (UUID, list[int]),
    (Amount, str),
    (Literal["a"], list[str]),
    (str, Literal[1]),
    (int, Literal["a", "b"]),
    (Annotated[int, Gt(0)], Annotated[str, "said"]),
    (Color, list[str] | None),
]
PERHAPS = [
    (int, float),
    (str, int),
    (int, bool),
    (bool, Literal[1]),
    (int | None, int),
    (str, datetime),
    (int, date),
    (Page, dict[str, Any]),
    (dict[str, Any], Page),
    (Page, Point),
    (list[int], tuple[str, ...]),
    (list[int], Pair),
    (Any, str),
    (int, Any),
    (int, object),
    (T, str),
    (int, Annotated[str, BeforeValidator(str)]),
    (int, Anything),
    (list[str], Names),
    (Names, list[str]),
    (int, Decimal),
    (Decimal, str),
    (str, Path),
    (list[int], Sequence[int]),
    (list[int], Iterable[int]),
    (Page, Mapping[str, Any]),
    (str, bytes),
    (Color, Literal["red"]),
]


@pytest.mark.parametrize(("source", "target"), NEVER, ids=str)
def test_what_cannot_fit(source: Any, target: Any) -> None:
    assert cannot_fit(source, target)


@pytest.mark.parametrize(("source", "target"), PERHAPS, ids=str)
def test_what_may_fit(source: Any, target: Any) -> None:
    assert not cannot_fit(source, target)


VALUES: dict[Any, list[Any]] = {
    int: [0, 1, -5, 10**20],
    bool: [True, False],
    float: [0.0, 1.5, 2.0],
    str: ["", "1", "2020-01-01", "red", "a", "true", str(UUID(int=1))],
    list[int]: [[], [1]],
    dict[str, int]: [{}, {"x": 1}],
    Page: [Page(), Page(title="t")],
    Point: [Point(1, 2.0)],
    Pair: [Pair(1, "a")],
    Facts: [Facts(size=1)],
    Color: list(Color),
    UUID: [UUID(int=5)],
    date: [date(2020, 1, 1)],
    None: [None],
}
TARGETS: list[Any] = [
    *VALUES, datetime, Decimal, tuple[int, ...], set[int], Mapping[str, int], Literal[1, "a"],
    Literal[True], Sequence[int], Names, Anything, Open, Checked, Amount, Path,
    Annotated[int, Gt(0)], Annotated[str, BeforeValidator(str)], int | None, Page | list[int],
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_what_pydantic_reads_is_never_said_not_to_fit(target: Any) -> None:
    """Against pydantic itself: each value that it reads as the target has a type that may fit."""
    reader = TypeAdapter(target)
    for source, values in VALUES.items():
        if cannot_fit(source, target):
            for value in values:
                text = TypeAdapter(source).dump_json(value)
                with pytest.raises(ValueError, match="validation error"):
                    reader.validate_json(text)
