"""What a step waits for, what it ignores, and on which condition it runs, as it is added to a
workflow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias, TypedDict

from baton.core.checks import flag, listed
from baton.core.jsonvalue import encode
from baton.core.names import validate_step_name
from baton.steps.reference import Dependency, dependency_name
from baton.words.argument_errors import InvalidNameError, InvalidOptionError

CONDITION_LIMIT = 8_192
"""Most bytes of a step's condition, as JSON."""

Conditions: TypeAlias = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None, bool]
"""`when`, `unless` and `on_failure`, as given."""

NO_CONDITIONS: Conditions = (None, None, False)

Ignored: TypeAlias = tuple[bool | None, bool | None, bool]
"""`ignore_cancelled`, `ignore_discarded` and `run_when_skipped`, as given."""


class Rules(TypedDict, total=False):
    """The part of a `NewStep` that is about its dependencies; what is not in it is as there."""

    deps: tuple[str, ...]
    any_of: tuple[str, ...]
    condition: str
    ignore_cancelled: bool
    ignore_discarded: bool
    run_when_skipped: bool


def checked_rules(
    owner: object,
    deps: Iterable[Dependency],
    any_of: Iterable[Dependency] | None,
    ignored: Ignored,
    conditions: Conditions,
    defaults: tuple[bool, bool],
    edges: Collection[str] = (),
) -> Rules:
    """The rules of a step; `ignored` are `ignore_cancelled`, `ignore_discarded` and
    `run_when_skipped`, `defaults` the workflow's for the first two. `edges` are the steps whose
    results are its arguments. Raises InvalidOptionError, InvalidNameError, ForeignReferenceError,
    NotStorableError, TooLargeError.
    """
    needed = step_names(owner, "deps", deps)
    alternatives = () if any_of is None else step_names(owner, "any_of", any_of)
    if edges:
        of_arguments = (name for name in edges if name not in alternatives)
        needed = tuple(dict.fromkeys((*needed, *of_arguments)))
    cancelled, discarded, run_when_skipped = ignored
    when, unless, on_failure = conditions
    rules: Rules = {
        "deps": needed,
        "ignore_cancelled": defaults[0]
        if cancelled is None
        else flag("ignore_cancelled", cancelled),
        "ignore_discarded": defaults[1]
        if discarded is None
        else flag("ignore_discarded", discarded),
    }
    # Most steps have nothing more, and a graph may have 100,000.
    if run_when_skipped is not False:
        rules["run_when_skipped"] = flag("run_when_skipped", run_when_skipped)
    if any_of is not None:
        rules["any_of"] = _alternatives(any_of, alternatives, needed)
        rules["deps"] = (*needed, *rules["any_of"])
    failing = flag("on_failure", on_failure)
    if failing or when is not None or unless is not None:
        rules["condition"] = _condition(needed, rules.get("any_of", ()), conditions)
    if failing:
        for option, given in (("ignore_cancelled", cancelled), ("ignore_discarded", discarded)):
            _check_ignoring(option, given)
        rules["ignore_cancelled"] = rules["ignore_discarded"] = True
    return rules


def step_names(owner: object, option: str, given: Iterable[Dependency]) -> tuple[str, ...]:
    """Names of steps, each once. Raises InvalidOptionError, InvalidNameError,
    ForeignReferenceError.
    """
    if given == ():
        return ()
    return tuple(dict.fromkeys(_step_name(owner, option, one) for one in listed(option, given)))


def _step_name(owner: object, option: str, given: object) -> str:
    if not isinstance(given, str):
        given = dependency_name(owner, option, given)
    if not isinstance(given, str):
        expected = f"{option} to be step names, such as {option}=['a'], "
        expected += f"not a {type(given).__name__}"
        raise InvalidNameError("step name", given, expected)
    return validate_step_name(given)


def _alternatives(
    given: Iterable[Dependency], names: tuple[str, ...], deps: tuple[str, ...]
) -> tuple[str, ...]:
    """The steps any of which is enough. Raises InvalidOptionError."""
    if not names:
        raise InvalidOptionError("any_of", given, "at least one step, such as any_of=['a', 'b']")
    both = [name for name in names if name in deps]
    if both:
        expected = f"steps that are not among deps=[…] too, as {both[0]!r} is: that one is needed"
        raise InvalidOptionError("any_of", given, expected)
    return names


def _condition(deps: tuple[str, ...], any_of: tuple[str, ...], conditions: Conditions) -> str:
    """A step's condition as JSON text."""
    when, unless, on_failure = conditions
    parts: dict[str, object] = {}
    for option, given in (("when", when), ("unless", unless)):
        if given is not None:
            parts[option] = _contained(option, given, deps, any_of)
    if on_failure:
        if any_of or not deps:
            expected = "deps=['a', …] beside it, of which one has to fail, and no any_of"
            raise InvalidOptionError("on_failure", on_failure, expected)
        parts["on_failure"] = True
    return encode(parts, what="the condition of a step", limit=CONDITION_LIMIT)


def _contained(
    option: str, given: Any, deps: tuple[str, ...], any_of: tuple[str, ...]
) -> dict[str, Any]:
    expected = f"what results contain, by dependency, such as {option}={{'check': {{'ok': True}}}}"
    if not isinstance(given, Mapping) or not given:
        raise InvalidOptionError(option, given, expected)
    for name in given:
        if name in any_of:
            expected = f"no alternative, as {name!r} is: it may not have settled by then"
            raise InvalidOptionError(option, given, expected)
        if name not in deps:
            raise InvalidOptionError(
                option, given, f"only dependencies: add deps=[{name!r}], or take {name!r} out"
            )
    return dict(given)


def _check_ignoring(option: str, given: bool | None) -> None:
    """A step that runs on failure has to ignore failures. Raises InvalidOptionError."""
    if given is not None and not given:
        expected = "nothing beside on_failure=True, which has the step run after a failure"
        raise InvalidOptionError(option, given, expected)
