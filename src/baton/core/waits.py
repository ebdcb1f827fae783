"""What a step may wait for, and what came of a wait, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias

from baton.core.names import validate_event_name
from baton.words.argument_errors import InvalidOptionError

if TYPE_CHECKING:
    # Written without its parameter, an outcome has payloads of any type. Only type checkers need to
    # know: `typing` has defaults of type variables from Python 3.13 on.
    from typing_extensions import TypeVar

    P_co = TypeVar("P_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    P_co = TypeVar("P_co", covariant=True)

MOST_NAMES: Final = 1_000
"""Most events that one wait may name."""


class Unset(Enum):
    """The default that says that there is none: None is a default like any other."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


# The two generic ones without slots: with them Python 3.11 cannot call `WaitEvents[Decision](…)`.
@dataclass(frozen=True)
class WaitEvents(Generic[P_co]):
    """The events a wait needed have come: payloads by name, in the order they came. The type of the
    payloads is the wait's `payload_type`.
    """

    events: Mapping[str, P_co]
    missing: tuple[str, ...] = ()

    @property
    def winner(self) -> str:
        """The name of the event that came first."""
        return next(iter(self.events))

    def __getitem__(self, name: str) -> P_co:
        return self.events[name]


@dataclass(frozen=True)
class WaitTimeout(Generic[P_co]):
    """Time was over before the events a wait needed had come: payloads of those that had, by name,
    and the names of the others. The type of the payloads is the wait's `payload_type`.
    """

    received: Mapping[str, P_co] = field(default_factory=dict[str, P_co])
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitCancelled:
    """The wait was cancelled by `cancel_wait`."""

    reason: str


class Default(NamedTuple):
    """Time was over, and the wait has this default."""

    value: Any


WaitOutcome: TypeAlias = WaitEvents[P_co] | WaitTimeout[P_co] | WaitCancelled


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
            chosen[0] if chosen else "any_of",
            given[chosen[0]] if chosen else None,
            f"exactly one of any_of, all_of and at_least, not {len(chosen)}, "
            "such as any_of=['a', 'b']",
        )
    option = chosen[0]
    if at_least is None:
        names = _listed(option, given[option])
        return Wanted(names, 1 if option == "any_of" else len(names))
    expected = (
        "a pair of a count and a list of different names, such as at_least=(2, ['a', 'b', 'c'])"
    )
    if not isinstance(at_least, tuple | list) or len(at_least) != 2:
        raise InvalidOptionError(option, at_least, expected)
    try:
        names = _listed(option, at_least[1])
    except InvalidOptionError:
        raise InvalidOptionError(option, at_least, expected) from None
    if not _is_count(at_least[0], names):
        raise InvalidOptionError(
            option, at_least, f"a count from 1 to the number of names, {len(names)}; {expected}"
        )
    return Wanted(names, at_least[0])


def wanted_by_call(call: str, names: Sequence[Any], count: Any = None) -> Wanted:
    """The events of a call of a step: `wait_any("a", "b")`, or `wait_n(2, "a", "b", "c")`, which
    has a count. Raises InvalidOptionError, InvalidNameError.
    """
    arguments = {"wait_n": "2, 'a', 'b', 'c'", "wait_for": "'a'"}.get(call, "'a', 'b'")
    example = f"{call}({arguments})"
    if call == "wait_n" and not isinstance(count, int):
        raise InvalidOptionError("count", count, f"a number before the names: {example}")
    if len(names) == 1 and isinstance(names[0], Iterable) and not isinstance(names[0], str):
        raise InvalidOptionError("names", names[0], f"the names one by one: {example}")
    found = _different("names", names, f"1 to {MOST_NAMES} different names: {example}")
    if call == "wait_n" and not _is_count(count, found):
        expected = f"a number from 1 to that of the names, {len(found)}: {example}"
        raise InvalidOptionError("count", count, expected)
    return Wanted(found, {"wait_n": count, "wait_all": len(found)}.get(call, 1))


def _listed(option: str, given: Any) -> tuple[str, ...]:
    expected = f"a list of 1 to {MOST_NAMES} different names, such as {option}=['a', 'b']"
    if isinstance(given, str):
        raise InvalidOptionError(option, given, f"a list of names: {option}=[{given!r}]")
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise InvalidOptionError(option, given, expected)
    return _different(option, tuple(given), expected)


def _different(option: str, given: Sequence[Any], expected: str) -> tuple[str, ...]:
    names = tuple(validate_event_name(name) for name in given)
    if not 1 <= len(names) <= MOST_NAMES or len(set(names)) < len(names):
        raise InvalidOptionError(option, names, expected)
    return names


def _is_count(given: Any, names: Sequence[str]) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= len(names)


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
