"""Names: what is taken as it is, what is refused and why."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from baton.core.names import (
    validate_queue_name,
    validate_step_name,
    validate_tag,
    validate_worker_name,
    validate_workflow_name,
)
from baton.errors import InvalidNameError

Check = Callable[[object], str]
LONG: list[Check] = [validate_step_name, validate_workflow_name, validate_tag]
SHORT: list[Check] = [validate_queue_name, validate_worker_name]
ALL = LONG + SHORT

GOOD = [
    "a",
    "fetch token",
    "a.b:c/d-e_f",
    "é",
    "日本語",
    "имя",
    "اسم",
    "नाम",
    "😀",
    "O'Brien",
    '"; --',
    "%s $1",
]
BAD = [
    ("", "1 to"),
    (" a", "white space"),
    ("a ", "white space"),
    ("a\u00a0", "white space"),
    ("\u3000a", "white space"),
    ("a\nb", "control"),
    ("a\tb", "control"),
    ("a\x00b", "control"),
    ("a\x7fb", "control"),
    ("a\x85b", "control"),
    ("a\u200bb", "invisible"),
    ("a\u202eb", "invisible"),
    ("a\ufeffb", "invisible"),
    ("a\u00adb", "invisible"),
    ("a\u2028b", "line separators"),
    ("a\u2029b", "paragraph separators"),
    ("a\ud800", "surrogates"),
    ("e\u0301", "NFC"),
    ("\u212b", "NFC"),
    (None, "not NoneType"),
    (b"a", "not bytes"),
    (1, "not int"),
]


@pytest.mark.parametrize("check", ALL)
@pytest.mark.parametrize("name", GOOD)
def test_every_script_is_taken(check: Check, name: str) -> None:
    assert check(name) == name


@pytest.mark.parametrize("check", ALL)
@pytest.mark.parametrize(("given_name", "why"), BAD)
def test_the_rest_is_refused_with_the_reason(check: Check, given_name: object, why: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        check(given_name)
    assert why in caught.value.expected
    assert caught.value.given is given_name
    assert repr(given_name) in str(caught.value)


@pytest.mark.parametrize(("checks", "limit"), [(LONG, 255), (SHORT, 127)])
def test_lengths_are_characters(checks: list[Check], limit: int) -> None:
    for check in checks:
        assert check("😀" * limit) == "😀" * limit
        with pytest.raises(InvalidNameError, match=f"1 to {limit} characters, not {limit + 1}"):
            check("a" * (limit + 1))


def test_the_kind_is_named() -> None:
    kinds = []
    for check in ALL:
        with pytest.raises(InvalidNameError) as caught:
            check("")
        kinds.append(caught.value.kind)
    assert kinds == ["step name", "workflow name", "tag", "queue name", "worker name"]


def test_a_decomposed_name_is_shown_so_that_the_difference_is_seen() -> None:
    with pytest.raises(InvalidNameError) as caught:
        validate_step_name("cafe\u0301")
    assert r"'caf\xe9', not 'cafe\u0301'" in str(caught.value)


def test_a_subclass_of_str_becomes_a_str() -> None:
    class Name(str):
        __slots__ = ()

    assert type(validate_step_name(Name("a"))) is str


@settings(deadline=None, max_examples=500)
@given(st.text(st.characters(exclude_categories=[]), max_size=6))
def test_what_is_taken_obeys_every_rule(text: str) -> None:
    refused = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    good = (
        text != ""
        and text == text.strip()
        and not any(unicodedata.category(c) in refused for c in text)
        and unicodedata.normalize("NFC", text) == text
    )
    try:
        taken = validate_step_name(text)
    except InvalidNameError:
        assert not good
    else:
        assert good
        assert taken == text
