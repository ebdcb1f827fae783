"""Error texts: whatever the error is, there is a text, it can be stored, and it is short enough."""

import asyncio
import re
from itertools import count
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings, strategies as st

from baton.core.errortext import DEFAULT_LIMIT, MOST_ERRORS, MOST_FRAMES, describe, sanitize
from baton.errors import UnknownWorkerError

ANY_TEXT = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\ud800é😀"))


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def assert_storable(text: str, limit: int = DEFAULT_LIMIT) -> None:
    assert type(text) is str
    assert "\0" not in text
    assert len(text.encode()) <= limit


def test_type_message_and_frames() -> None:
    lines = describe(raised(ValueError("bad thing"))).split("\n")
    assert lines[0] == "ValueError: bad thing"
    assert re.fullmatch(r'  File ".*test_errortext\.py", line \d+, in raised', lines[1])
    assert len(lines) == 2


def test_types_of_modules_are_qualified() -> None:
    assert describe(UnknownWorkerError("w")).startswith("baton.errors.UnknownWorkerError: no ")
    assert describe(ValueError()) == "ValueError"
    assert describe(KeyError("k")) == "KeyError: 'k'"
    assert describe(OSError(2, "gone", "f")) == "FileNotFoundError: [Errno 2] gone: 'f'"


def test_causes_contexts_notes_and_members() -> None:
    error = ValueError("outer")
    error.__context__ = raised(KeyError("inner"))
    assert "\nwhile handling KeyError: 'inner'\n" in describe(error)
    error.__suppress_context__ = True
    assert "inner" not in describe(error)
    assert "\ncaused by OSError: disk" in describe(raised(ValueError(), OSError("disk")))
    noted = ValueError("x")
    noted.add_note("see the manual")
    assert describe(noted) == "ValueError: x\n  note: see the manual"
    text = describe(ExceptionGroup("both", [ValueError("one"), TypeError("two")]))
    assert text.split("\n") == [
        "ExceptionGroup: both (2 sub-exceptions)",
        "member 1 of 2: ValueError: one",
        "member 2 of 2: TypeError: two",
    ]


def deep(levels: int) -> NoReturn:
    if levels:
        deep(levels - 1)
    raise ValueError("bottom")


def test_the_inner_frames_are_kept() -> None:
    with pytest.raises(ValueError, match="bottom") as caught:
        deep(100)
    lines = describe(caught.value).split("\n")
    assert len(lines) == 2 + MOST_FRAMES
    assert lines[1] == f"  … {102 - MOST_FRAMES} outer frames"
    assert "in deep" in lines[-1]
    for limit in range(2 * len(lines[-1]) + 100, 2_000):
        short = describe(caught.value, limit)
        assert short.startswith("ValueError: bottom\n")
        assert short.endswith("\n" + lines[-1])
        assert_storable(short, limit)


def test_a_recursion_error_is_described() -> None:
    def endless() -> None:
        endless()

    with pytest.raises(RecursionError) as caught:
        endless()
    assert "RecursionError: maximum recursion depth exceeded" in describe(caught.value)


class BreaksError(Exception):
    """Everything a reader might ask of it raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name: str) -> Any:
        raise object.__getattribute__(self, "error")

    def __str__(self) -> str:
        raise object.__getattribute__(self, "error")

    __repr__ = __str__


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        RecursionError(),
        KeyboardInterrupt(),
        SystemExit(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_whose_methods_raise(error: BaseException) -> None:
    text = describe(BreaksError(error))
    assert "BreaksError: (its text cannot be had: __str__ raised)" in text
    assert_storable(text)


class EvilText(str):
    __slots__ = ()

    def __getitem__(self, index: Any) -> str:
        raise TypeError("no slices")

    def __str__(self) -> str:
        raise TypeError("no text")

    encode = replace = __len__ = __str__  # type: ignore[assignment]


class EvilTextError(Exception):
    def __str__(self) -> str:
        return EvilText("still readable")


class NoTextError(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class OddError(Exception):
    __module__ = 5  # type: ignore[assignment]


def test_odd_texts() -> None:
    assert describe(EvilTextError()).endswith("EvilTextError: still readable")
    assert "cannot be had" in describe(NoTextError())
    assert describe(OddError("x")).endswith("OddError: x")
    noted = ValueError("x")
    noted.__notes__ = [EvilText("note"), 5, None]  # type: ignore[list-item]
    assert describe(noted) == "ValueError: x\n  note: note"
    noted.__notes__ = 7  # type: ignore[assignment]
    assert describe(noted) == "ValueError: x"
    noted.__notes__ = count()  # type: ignore[assignment]
    assert describe(noted) == "ValueError: x"
    noted.__notes__ = ["long" * 100_000] * 10
    assert_storable(describe(noted))


def test_endless_chains_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert describe(one) == "ValueError: one\ncaused by ValueError: two"
    error: BaseException = ValueError("first")
    for number in range(10_000):
        wrapped = ValueError(number)
        wrapped.__cause__ = error
        error = wrapped
    assert describe(error).count("ValueError") == MOST_ERRORS


def test_groups_of_groups_end() -> None:
    group: Exception = ValueError("leaf")
    for _ in range(5_000):
        members: list[Exception] = [group]
        group = ExceptionGroup("level", members)
    assert_storable(describe(group))
    wide = describe(ExceptionGroup("many", [ValueError(number) for number in range(10_000)]))
    assert "member 8 of 10000: ValueError: 7" in wide
    assert "member 9" not in wide

    class Looped(ExceptionGroup[Exception]):
        @property
        def exceptions(self) -> Any:
            return (self, self)

    assert_storable(describe(Looped("loop", [ValueError()])))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x" * 100_000_000),
        ValueError("x" * 50_000_000, "y"),
        KeyError("x" * 50_000_000),
        ValueError(b"\0" * 50_000_000, 1),
        ValueError("\0" * 1_000_000),
        ValueError("\ud800" * 1_000_000),
        ValueError("😀" * 1_000_000),
    ],
    ids=["text", "texts", "key", "bytes", "nul", "surrogate", "wide"],
)
def test_giant_messages_are_cut_and_the_frames_stay(error: BaseException) -> None:
    cause = raised(ValueError("root"))
    for limit in (DEFAULT_LIMIT, 1_000):
        text = describe(raised(error, cause), limit)
        assert text.startswith(type(error).__name__ + ": ")
        assert "… (cut)\n  File " in text
        assert text.endswith(", in raised")
        assert_storable(text, limit)
    assert "\ncaused by ValueError: root\n" in describe(raised(error, cause))


@settings(deadline=None, max_examples=300)
@given(ANY_TEXT, st.integers(-5, 200))
def test_every_text_becomes_storable(text: str, limit: int) -> None:
    assert_storable(sanitize(text, limit), max(limit, 0))
    assert_storable(describe(raised(ValueError(text)), limit), max(limit, 0))


@settings(deadline=None, max_examples=300)
@given(ANY_TEXT)
def test_a_clean_text_is_left_alone(text: str) -> None:
    clean = "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)
    assert (sanitize(text) == text) == clean


def test_escapes_are_visible() -> None:
    assert sanitize("a\0b\ud800c") == r"a\x00b\ud800c"


def test_a_cut_is_told_and_splits_no_character() -> None:
    assert sanitize("é" * 100, 20) == "é" * 5 + "… (cut)"
    assert sanitize("abcdef", 3) == "abc"
    assert sanitize("ééé", 3) == "é"
    assert sanitize("a" * 20, 20) == "a" * 20
    assert sanitize("é" * 10, 20) == "é" * 10
