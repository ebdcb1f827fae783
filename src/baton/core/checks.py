"""What arguments of several rooms may be: durations, flags, lists of texts, limits, ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel

from baton.core import durations
from baton.words.argument_errors import InvalidArgumentError, InvalidOptionError

Seconds: TypeAlias = float | timedelta


def seconds(option: str, given: object) -> float:
    """A number of seconds or a timedelta, in seconds, from 0 to ten years. Raises
    InvalidOptionError.
    """
    return durations.seconds(
        option, given.total_seconds() if isinstance(given, timedelta) else given
    )


def checked_deadline(given: object) -> float | datetime | None:
    """When a workflow is cancelled: seconds or a timedelta from its insertion, above 0, or an aware
    datetime, here UTC; None for never. Raises InvalidOptionError.
    """
    if given is None:
        return None
    expected = "seconds or a timedelta above 0, or an aware datetime"
    if not isinstance(given, datetime):
        after = seconds("deadline", given)
        if after <= 0:
            raise InvalidOptionError("deadline", given, expected)
        return after
    if given.utcoffset() is None:
        wrong = f"{expected}; this datetime is naive: use datetime.now(UTC)"
        raise InvalidOptionError("deadline", given, wrong)
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise InvalidOptionError("deadline", given, "a datetime that exists in UTC") from None


def flag(option: str, given: object) -> bool:
    """True or False, and nothing that merely looks like it."""
    if not isinstance(given, bool):
        raise InvalidOptionError(option, given, "True or False")
    return given


def listed(option: str, given: Any) -> Iterable[Any]:
    """Several texts; a single one, which would fall apart into its letters, is refused."""
    items: Iterable[Any] = given
    if isinstance(given, str):
        raise InvalidOptionError(option, given, f"a list of texts: {option}=[{given!r}]")
    # A model is iterable, over its fields.
    if isinstance(given, bytes | Mapping | BaseModel) or not isinstance(given, Iterable):
        raise InvalidOptionError(option, items, f"a list of texts, such as {option}=['a', 'b']")
    return items


def check_page_limit(given: object, most: int) -> None:
    """How many rows of one page. Raises InvalidOptionError."""
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= most:
        raise InvalidOptionError("limit", given, f"a whole number from 1 to {most}")


def check_reason(given: object) -> None:
    """Why something is cancelled. Raises InvalidArgumentError."""
    if not isinstance(given, str):
        raise InvalidArgumentError("reason", given, "a text")


def check_queue_limit(given: object) -> None:
    """How many jobs of a queue run at once. Raises InvalidOptionError."""
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise InvalidOptionError("limit", given, "a whole number of at least 1; to stop, use pause")


def check_run(given: object) -> None:
    """The number of a workflow's run. Raises InvalidOptionError."""
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given < 2**31:
        raise InvalidOptionError("run", given, "a whole number of at least 1, or None")


def parse_workflow_id(
    given: UUID | str, advice: Callable[[object], str] = lambda given: ""
) -> UUID:
    """A workflow's id from a UUID or its text. Raises InvalidArgumentError, with the caller's
    `advice`.
    """
    if isinstance(given, UUID):
        return given
    try:
        return UUID(given)
    except (ValueError, TypeError, AttributeError):
        own = ": its workflow_id" if hasattr(given, "workflow_id") else ""
        expected = f"a UUID or its text{own}{advice(given)}"
        raise InvalidArgumentError("workflow_id", given, expected) from None


def parse_bulk_id(given: UUID | str) -> UUID:
    """The id of a bulk operation from a UUID or its text. Raises InvalidArgumentError."""
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, TypeError, AttributeError):
        raise InvalidArgumentError("bulk_id", given, "a UUID or its text") from None
