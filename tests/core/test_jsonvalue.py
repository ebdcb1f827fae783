"""The encoder: what it takes comes back equal, everything else is a typed error."""

import enum
import json
import math
import sys
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import BaseModel, SecretStr, model_serializer

from baton.core.jsonvalue import DEFAULT_LIMIT, HIGHEST_LIMIT, MOST_LEVELS, decode, encode
from baton.errors import NotStorableError, TooLargeError

ANY_TEXT = st.text(
    st.characters(exclude_categories=[]) | st.sampled_from('\\"\0u0\ud800'), max_size=8
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.floats(min_value=1e15, max_value=1e20)
    | ANY_TEXT
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


def is_storable(value: object) -> bool:
    match value:
        case str():
            return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
        case float():
            return math.isfinite(value)
        case dict():
            return all(is_storable(k) and is_storable(v) for k, v in value.items())
        case list():
            return all(map(is_storable, value))
        case _:
            return True


def same(a: object, b: object) -> bool:
    """Equal, and of the same types throughout: 1.0 is not 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def refused(value: object, **options: Any) -> NotStorableError:
    with pytest.raises(NotStorableError) as caught:
        encode(value, what="the result", **options)
    assert caught.value.what == "the result"
    assert len(str(caught.value)) < 800
    str(caught.value).encode()
    return caught.value


@settings(deadline=None, max_examples=1_000)
@given(VALUES)
def test_it_round_trips_or_is_refused(value: object) -> None:
    try:
        text = encode(value, what="x")
    except NotStorableError:
        assert not is_storable(value)
    else:
        assert is_storable(value)
        assert same(decode(text), value)
        assert text.encode().isascii() or text.encode().decode() == text


@settings(deadline=None)
@given(VALUES.filter(is_storable))
def test_the_limit_is_exact_in_bytes(value: object) -> None:
    size = len(encode(value, what="x").encode())
    assert encode(value, what="x", limit=size)
    if value is not None:
        with pytest.raises(TooLargeError) as caught:
            encode(value, what="x", limit=size - 1)
        assert size - 1 < caught.value.size <= size


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_no_float_looks_like_an_integer_to_jsonb(values: list[float]) -> None:
    # jsonb drops an exponent; only what has a point, or a negative exponent, stays a fraction.
    for text in encode([*values, 1e300], what="x")[1:-1].split(","):
        assert "e+" not in text
        assert "." in text or "e-" in text


def test_backslashes_do_not_fake_a_nul() -> None:
    for text in (r"\u0000", r"\\u0000", "\\", "\\\\u0000", r"C:\u0000\u0000"):
        assert decode(encode([text, {text: text}], what="x")) == [text, {text: text}]
    for text in ("\0", "\\\0", "\\\\\0", r"\u0000" + "\0", "a" * 1_000 + "\0"):
        assert "NUL" in refused(text).problem
        assert "NUL" in refused({text: 1}).problem
        assert "NUL" in refused([{"a": [text]}]).problem
    assert encode("\\" * 100_000 + "u0000", what="x")


def test_lone_surrogates_are_named() -> None:
    for value in ("a\ud800", ["\udfff"], {"\ud8ff": 1}):
        assert r"lone surrogate ('\ud" in refused(value).problem
    assert decode(encode("😀", what="x")) == "😀"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_json_does_not_have(number: float) -> None:
    @dataclass
    class Holder:
        value: float

    for value in (number, [1.5, number], {"a": (number,)}, Holder(number)):
        assert f"{number}, which JSON does not have" in refused(value).problem


@pytest.mark.parametrize("key", [1, 1.5, None, True, (1, 2), b"a", frozenset({1})])
def test_keys_are_texts(key: object) -> None:
    for value in ({key: 1}, [{"a": {key: 1}}], OrderedDict({key: 1})):
        problem = refused(value).problem
        assert repr(key) in problem
        assert type(key).__name__ in problem


def test_integers_end_where_python_stops_reading_them() -> None:
    largest = 10**4300 - 1
    assert decode(encode([largest, -largest], what="x")) == [largest, -largest]
    for value in (10**4300, [-(10**4300)], {"a": 1 << 100_000}):
        assert "4300 digits" in refused(value).problem


def test_integers_end_there_even_where_python_would_go_on() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert "4300 digits" in refused([10**5000]).problem
    finally:
        sys.set_int_max_str_digits(before)


def nested(levels: int) -> Any:
    value: Any = "leaf"
    for level in range(levels):
        value = [value] if level % 2 else {"k": value}
    return value


def test_nesting_has_a_limit_that_does_not_depend_on_the_stack() -> None:
    assert decode(encode(nested(MOST_LEVELS), what="x")) == nested(MOST_LEVELS)
    for levels in (MOST_LEVELS + 1, 5_000, 200_000):
        assert "nested deeper than 128" in refused(nested(levels)).problem


def test_what_contains_itself_is_refused() -> None:
    line: list[Any] = []
    line.append(line)
    loop: dict[str, Any] = {}
    loop["a"] = [loop]
    assert "contains itself" in refused(line).problem
    assert "contains itself" in refused(loop).problem
    bush: list[Any] = []
    bush += [bush, bush]
    assert isinstance(refused(bush), TooLargeError)


def test_a_bomb_of_shared_lists_is_refused_before_it_is_written() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value] * 10
    assert isinstance(refused(value), TooLargeError)


def test_sizes_are_told() -> None:
    assert len(encode("x" * (DEFAULT_LIMIT - 2), what="x")) == DEFAULT_LIMIT
    error = refused("x" * (DEFAULT_LIMIT - 1))
    assert isinstance(error, TooLargeError)
    assert (error.size, error.limit) == (DEFAULT_LIMIT + 1, DEFAULT_LIMIT)
    wide = refused("é" * 10, limit=21)
    assert isinstance(wide, TooLargeError)
    assert wide.size == 22
    huge = refused(["x" * 40_000_000], limit=10**12)
    assert isinstance(huge, TooLargeError)
    assert huge.limit == HIGHEST_LIMIT


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Kind(enum.StrEnum):
    A = "a"


class Mixed(float, enum.Enum):
    HALF = 0.5


class Model(BaseModel):
    when: datetime
    by_number: dict[int, str] = {}


@dataclass
class Point:
    x: float
    y: list[UUID]


Pair = namedtuple("Pair", "left right")

FOREIGN: list[tuple[object, object]] = [
    ((1, (2,)), [1, [2]]),
    (Pair(1, "b"), [1, "b"]),
    (defaultdict(int, a=1), {"a": 1}),
    (Counter("aab"), {"a": 2, "b": 1}),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    ({Kind.A: Kind.A}, {"a": "a"}),
    ([Colour.RED, Level.LOW, Mixed.HALF], ["red", 1, 0.5]),
    (
        Model(when=datetime(2026, 1, 2, tzinfo=UTC)),
        {"when": "2026-01-02T00:00:00Z", "by_number": {}},
    ),
    (
        [Model(when=datetime(2026, 1, 2, tzinfo=UTC), by_number={1: "a"})],
        [{"when": "2026-01-02T00:00:00Z", "by_number": {"1": "a"}}],
    ),
    (Point(1e20, [UUID(int=1)]), {"x": 1e20, "y": ["00000000-0000-0000-0000-000000000001"]}),
    ({"at": date(2026, 1, 2), "for": timedelta(days=1)}, {"at": "2026-01-02", "for": "P1D"}),
    (Decimal("1.10"), "1.10"),
    ({"s": {5}, "f": frozenset()}, {"s": [5], "f": []}),
    (Path("a"), "a"),
]


@pytest.mark.parametrize(("value", "plain"), FOREIGN)
def test_what_pydantic_knows_is_taken(value: object, plain: object) -> None:
    assert same(decode(encode(value, what="x")), plain)
    assert same(decode(encode({"in": [value]}, what="x")), {"in": [plain]})


class Rude:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


class RudeModel(BaseModel):
    @model_serializer
    def serialize(self) -> dict[str, object]:
        raise KeyError("\0" * 10_000)


class RudeDict(dict[str, int]):
    def values(self) -> Any:
        raise OSError("no values")


class RudeKey:
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        raise ValueError("no repr")


def letters() -> Iterator[str]:
    yield "a"


EVIL: list[object] = [
    object(),
    int,
    len,
    letters,
    range(3),
    ...,
    NotImplemented,
    ValueError("x"),
    MappingProxyType({"a": 1}),
    memoryview(b"a"),
    b"text",
    bytearray(b"\xff"),
    letters(),
    iter([1]),
    SecretStr("hidden"),
    RudeModel(),
    RudeDict(a=1),
    Rude(RecursionError()),
    {RudeKey(): 1},
    Point("\ud800", []),  # type: ignore[arg-type]
    Point("\0", []),  # type: ignore[arg-type]
    Point(nested(5_000), []),
    Point(object(), []),  # type: ignore[arg-type]
    Point(10**5000, []),
    Point("x" * 2_000_000, []),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("value", EVIL, ids=lambda value: type(value).__name__)
def test_evil_values_are_refused(value: object) -> None:
    refused(value)
    refused({"in": [value]})


def test_advice_is_given() -> None:
    assert "base64" in refused(b"a").problem
    assert "collect it in a list" in refused([letters()]).problem
    assert "secret" in refused(SecretStr("x")).problem
    assert "hidden" not in str(refused(SecretStr("hidden")))
    assert refused(object()).problem == "Unable to serialize unknown type: <class 'object'>"
    assert refused(RudeDict(a=1)).problem == "OSError: no values"


def test_interruptions_are_not_swallowed() -> None:
    class Stopped(dict[str, int]):
        def values(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(Stopped(), what="x")


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", "-Infinity", "1 2", "'a'", "\ufeff1"]
)
def test_decode_is_strict(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text)


def test_decode_never_runs_out_of_stack() -> None:
    with pytest.raises(ValueError, match="too deep"):
        decode("[" * 500_000)


def test_decode_agrees_with_the_standard_library() -> None:
    text = '{"a": [1, 2.5, "\\u00e9", null, true], "b": {}}'
    assert decode(text) == json.loads(text)
