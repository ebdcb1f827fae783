"""What the state of a dependency means to a step, and when its condition is met."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

MET, OPEN, SKIPPED, DOOMS = "met", "open", "skipped", "dooms"
"""How a dependency stands, or all alternatives together: it is satisfied, has not settled, was
skipped, or dooms.
"""

Condition = Mapping[str, Mapping[str, object]]
"""What results contain, by dependency."""


def shown(number: int | None) -> dict[str, int] | None:
    """The value that a step returns: each is another one, every second is odd."""
    return None if number is None else {"n": number, "odd": number % 2}


def standing(state: str | None, ignored: Container[str]) -> str:
    """How one dependency stands that settled so. One that is gone dooms, whatever is ignored."""
    if state is None:
        return OPEN
    if state == "skipped":
        return SKIPPED
    return MET if state == "completed" or state in ignored else DOOMS


def together(standings: Sequence[str]) -> str:
    """How alternatives stand, of which one is enough."""
    return next((one for one in (MET, OPEN, SKIPPED) if one in standings), DOOMS)


def contained(condition: Condition, results: Mapping[str, object]) -> list[bool]:
    """Of each dependency that is named, whether its result contains the value."""
    return [_contains(results.get(name), part) for name, part in condition.items()]


def _contains(result: object, part: Mapping[str, object]) -> bool:
    value = result.get("value") if isinstance(result, Mapping) else None
    return isinstance(value, Mapping) and all(
        key in value and value[key] == wanted for key, wanted in part.items()
    )
