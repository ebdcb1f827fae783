"""Where a list goes on: the texts that callers get as `next` and give as `after`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from baton.words.argument_errors import InvalidOptionError
from baton.words.paging import Page

Row = TypeVar("Row")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_ID = 2**63 - 1


def page(found: Sequence[Row], limit: int, place: Callable[[Row], str]) -> Page[Row]:
    """The page of a list of which up to `limit` rows and one more were read; the last row's `place`
    is where the list goes on.
    """
    rows = tuple(found[:limit])
    return Page(rows, place(rows[-1]) if len(found) > limit else None)


def place_text(moment: datetime, id: UUID) -> str:
    """A place in a list that goes by time, then id."""
    return f"{(moment - _EPOCH) // timedelta(microseconds=1)}-{id.hex}"


def parse_place(given: object) -> tuple[datetime, UUID]:
    """The time and the id of such a place. Raises InvalidOptionError."""
    try:
        moment, _, id = str(given).rpartition("-")
        return _EPOCH + timedelta(microseconds=int(moment)), UUID(id)
    except (ValueError, OverflowError):
        raise _bad_cursor(given) from None


def parse_id(given: object) -> int:
    """A place in a list that goes by numbers. Raises InvalidOptionError."""
    if not isinstance(given, str) or not given.isdecimal() or not int(given) <= _MOST_ID:
        raise _bad_cursor(given)
    return int(given)


def _bad_cursor(given: object) -> InvalidOptionError:
    return InvalidOptionError("after", given, "the `next` of the page before")
