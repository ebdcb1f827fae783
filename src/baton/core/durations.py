"""What a number of seconds may be."""

from __future__ import annotations

from typing import TypeGuard

from baton.words.argument_errors import InvalidOptionError

TEN_YEARS = 10 * 366 * 86_400
"""Longest duration in seconds: beyond it a date may leave what Python and drivers can read back."""


def seconds(option: str, given: object) -> float:
    """A duration from 0 to ten years. Raises InvalidOptionError, naming `option`, for all else."""
    if not _is_number(given) or not 0 <= given <= TEN_YEARS:
        expected = f"a number of seconds from 0 to {TEN_YEARS} (ten years)"
        raise InvalidOptionError(option, given, expected)
    return given


def spoken(given: float) -> str:
    """A duration for people, in its largest unit; an approximate one, never more than 10 % off."""
    size, unit = given, "s"
    for length, next_unit in ((120, "min"), (120, "h"), (48, "d")):
        factor = 24 if next_unit == "d" else 60
        if size < length:
            break
        size, unit = size / factor, next_unit
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"


def _is_number(given: object) -> TypeGuard[float]:
    return isinstance(given, int | float) and not isinstance(given, bool)
