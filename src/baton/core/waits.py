"""What a step may wait for, and what came of a wait, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from baton.core.names import validate_event_name
from baton.words.errors import InvalidOptionError

MOST_NAMES: Final = 1_000
"""Most events that one wait may name."""


class Unset(Enum):
    """The default that says that there is none: None is a default like any other."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class WaitEvents:
    """The events a wait needed have come: payloads by name, in the order they came."""

    events: Mapping[str, Any]
    missing: tuple[str, ...] = ()

    @property
    def winner(self) -> str:
        """The name of the event that came first."""
        return next(iter(self.events))

    def __getitem__(self, name: str) -> Any:
        return self.events[name]


@dataclass(frozen=True, slots=True)
class WaitTimeout:
    """Time was over before the events a wait needed had come: payloads of those that had, by name,
    and the names of the others.
    """

    received: Mapping[str, Any] = field(default_factory=dict[str, Any])
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitCancelled:
    """The wait was cancelled by `cancel_wait`."""

    reason: str


class Default(NamedTuple):
    """Time was over, and the wait has this default."""

    value: Any


WaitOutcome: TypeAlias = WaitEvents | WaitTimeout | WaitCancelled


class Wanted(NamedTuple):
    """Which events, and how many of them."""

    names: tuple[str, ...]
    need: int

    def __str__(self) -> str:
        listed = ", ".join(map(repr, self.names[:10])) + (", …" if len(self.names) > 10 else "")
        return f"{self.need} of [{listed}]" if self.names else "a time"


def wanted(
    any_of: Iterable[str] | None = None,
    all_of: Iterable[str] | None = None,
    at_least: Any = None,
) -> Wanted:
    """The events of exactly one of the three forms. Raises InvalidOptionError, InvalidNameError."""
    given = {"any_of": any_of, "all_of": all_of, "at_least": at_least}
    chosen = [option for option, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise InvalidOptionError(
            "any_of", any_of, f"exactly one of any_of, all_of and at_least, not {len(chosen)}"
        )
    option = chosen[0]
    if at_least is None:
        names = event_names(option, given[option])
        return Wanted(names, 1 if option == "any_of" else len(names))
    expected = "a pair of a count and a list of names, such as at_least=(2, ['a', 'b', 'c'])"
    if not isinstance(at_least, tuple | list) or len(at_least) != 2:
        raise InvalidOptionError(option, at_least, expected)
    need, listed = at_least
    names = event_names(option, listed)
    if not isinstance(need, int) or isinstance(need, bool) or not 1 <= need <= len(names):
        raise InvalidOptionError(
            option, at_least, f"a count from 1 to the number of names, {len(names)}; {expected}"
        )
    return Wanted(names, need)


def event_names(option: str, given: Any) -> tuple[str, ...]:
    """One to MOST_NAMES different names. Raises InvalidOptionError, InvalidNameError."""
    expected = f"a list of 1 to {MOST_NAMES} different names, such as {option}=['a', 'b']"
    if isinstance(given, str):
        raise InvalidOptionError(option, given, f"a list of names: {option}=[{given!r}]")
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise InvalidOptionError(option, given, expected)
    names = tuple(validate_event_name(name) for name in given)
    if not 1 <= len(names) <= MOST_NAMES or len(set(names)) < len(names):
        raise InvalidOptionError(option, names, expected)
    return names


def read_outcome(stored: Mapping[str, Any]) -> WaitOutcome | Default:
    """What came of a wait, from the JSON object that the database made of it."""
    events = {name: stored["events"][name] for name in stored["order"]}
    missing = tuple(stored["missing"])
    match stored["outcome"]:
        case "events":
            return WaitEvents(events, missing)
        case "timeout" if "default" in stored:
            return Default(stored["default"])
        case "timeout":
            return WaitTimeout(events, missing)
        case "cancelled":
            return WaitCancelled(stored["reason"])
        case other:
            raise ValueError(f"a wait does not end as {other!r}")
