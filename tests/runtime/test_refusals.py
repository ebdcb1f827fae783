"""Which failures are outages and which are refusals; how the refused rows of a batch are found."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import pytest

from baton.errors import MissingRightError, UnavailableError
from baton.store.bisecting import Accepted, Refused, bisected
from baton.store.faults import is_content_fault, is_notify_queue_full, is_outage, sqlstate


def raised(code: str, message: str = "no", file: str = "pl_exec.c") -> asyncpg.PostgresError:
    """The driver's error for what the server reports."""
    fields = {"S": "ERROR", "C": code, "M": message, "F": file}
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(fields)
    return error


# SQLSTATE: whether it is an outage, whether the data itself is refused
STATES = {
    "08006": (True, False),  # connection failure
    "08P01": (True, False),  # protocol violation, as poolers answer
    "28P01": (True, False),  # password refused
    "3D000": (True, False),  # no such database
    "40001": (True, False),  # serialization failure
    "40P01": (True, False),  # deadlock
    "25006": (True, False),  # read-only
    "25P03": (True, False),  # idle in transaction for too long
    "25P04": (True, False),  # transaction took too long
    "53100": (True, False),  # disk full
    "53200": (True, False),  # out of memory
    "53300": (True, False),  # too many connections
    "57P01": (True, False),  # shut down by an administrator
    "57P03": (True, False),  # starting up
    "22012": (False, True),  # division by zero
    "22P05": (False, True),  # a character that the database cannot hold
    "23505": (False, True),  # unique violation
    "23514": (False, True),  # check violation
    "P0001": (False, True),  # RAISE EXCEPTION
    "42P01": (False, False),  # undefined table
    "42501": (False, False),  # missing right
    "42883": (False, False),  # undefined function
    "0A000": (False, False),  # not supported
    "21000": (False, False),  # more than one row
    "26000": (False, False),  # no such prepared statement
    "2F004": (False, False),  # reading not permitted
    "38000": (False, False),  # external routine
    "54000": (False, False),  # a limit of the server
    "54001": (False, False),  # stack depth
    "55000": (False, False),  # wrong state of an object
    "55P03": (False, False),  # lock not available
    "57014": (False, False),  # cancelled, statement time-out
    "P0002": (False, False),  # no data found
    "XX000": (False, False),  # internal error
    "XX001": (False, False),  # data corrupted
    "AB123": (False, False),  # somebody's own
}


@pytest.mark.parametrize(("code", "expected"), STATES.items())
def test_a_state_is_an_outage_or_a_refusal(code: str, expected: tuple[bool, bool]) -> None:
    error = raised(code)
    assert sqlstate(error) == code
    assert (is_outage(error), is_content_fault(error)) == expected


def test_failures_without_a_state() -> None:
    for lost in (OSError(), TimeoutError(), asyncpg.InterfaceError("gone"), UnavailableError("no")):
        assert is_outage(lost)
    for refused in (ValueError("unknown state"), KeyError("x"), MissingRightError("no")):
        assert not is_outage(refused)


@pytest.mark.parametrize("code", ["42501", "53300"])
def test_an_error_of_ours_is_what_it_was_raised_from(code: str) -> None:
    ours = UnavailableError("no") if code == "53300" else MissingRightError("no")
    ours.__cause__ = raised(code)
    assert sqlstate(ours) == code
    assert is_outage(ours) is (code == "53300")


def test_a_full_notify_queue_is_known_in_any_language() -> None:
    told = raised("54000", "zu viele Benachrichtigungen", "async.c")
    assert is_notify_queue_full(told)
    assert is_notify_queue_full(raised("54000", "too many notifications in the NOTIFY queue"))
    assert not is_notify_queue_full(raised("54000", "string too long", "jsonb.c"))
    assert is_content_fault(raised("54000", "string too long", "jsonb.c"))
    assert not is_content_fault(told)


async def test_what_is_refused_is_found_by_halves() -> None:
    calls = 0

    async def write(numbers: Sequence[int]) -> int:
        nonlocal calls
        calls += 1
        if {13, 400} & set(numbers):
            raise raised("AB123")
        return len(numbers)

    parts = [part async for part in bisected(range(500), write)]
    refused = [part.item for part in parts if isinstance(part, Refused)]
    accepted = [n for part in parts if isinstance(part, Accepted) for n in part.items]
    assert refused == [13, 400]
    assert accepted == [n for n in range(500) if n not in refused]
    assert calls < 50


async def test_an_outage_ends_it_and_nothing_is_tried_for_nothing() -> None:
    tried: list[Sequence[int]] = []

    async def write(numbers: Sequence[int]) -> None:
        tried.append(numbers)
        if len(numbers) > 2:
            raise raised("P0001")
        if 3 in numbers:
            raise raised("57P01")

    told: list[int] = []

    async def consume() -> None:
        async for part in bisected([1, 2, 3, 4], write):
            assert isinstance(part, Accepted)
            told.extend(part.items)

    with pytest.raises(asyncpg.AdminShutdownError):
        await consume()
    assert told == [1, 2]
    assert tried == [[1, 2, 3, 4], [1, 2], [3, 4]]
    nothing: Sequence[int] = []
    assert [part async for part in bisected(nothing, write)] == []
