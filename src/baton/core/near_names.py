"""What a wrong name was meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from baton.words.argument_errors import InvalidOptionError

MOST_COMPARED = 1_000
"""Names that are compared; more would take too long."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is near; None where there is none."""
    names = list(known)
    similar = get_close_matches(name, names, n=1) if len(names) <= MOST_COMPARED else []
    return similar[0] if similar else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?", or nothing where no known name is near."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"


def unknown_option(name: str, given: object, of: str, known: Iterable[str]) -> InvalidOptionError:
    """The error for an option that there is not. Its text does not show the value."""
    names = list(known)
    expected = (
        f"an option of {of}{did_you_mean(name, names) or '.'} The options are: {', '.join(names)}"
    )
    return InvalidOptionError(name, given, expected, subject=name)
