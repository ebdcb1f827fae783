"""The options of workers and steps: their types, their ranges, what was meant instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any, TypedDict

from baton.core.checks import Seconds, listed, seconds
from baton.core.names import (
    validate_model_name,
    validate_queue_name,
    validate_tag,
    validate_worker_name,
)
from baton.core.near_names import unknown_option
from baton.words.argument_errors import InvalidOptionError

_MAX_SMALLINT = 32_767


class WorkerOptions(TypedDict, total=False):
    """Options of a worker, defaults of its steps."""

    name: str
    queue: str
    max_attempts: int
    priority: int
    tags: Iterable[str]
    timeout: Seconds | None
    backoff: Seconds | Callable[[int], Seconds] | None
    executor: Executor | Callable[[], Executor] | None


class FunctionOptions(WorkerOptions, total=False):
    """Options of a function worker: a class overrides methods instead."""

    on_dep_cancelled: Callable[[Any, str], Any] | None
    on_dep_discarded: Callable[[Any, str], Any] | None


def step_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `.add` as fields of a NewStep, None left out. Raises InvalidOptionError,
    InvalidNameError.
    """
    if given.get("schedule_in") is not None and given.get("schedule_at") is not None:
        raise InvalidOptionError(
            "schedule_at", given["schedule_at"], "only one of schedule_in and schedule_at"
        )
    return _checked(given, _STEP, "a step")


def worker_options(given: Mapping[str, Any], allowed: Iterable[str]) -> dict[str, Any]:
    """The options of a worker, checked; `allowed` are their names."""
    return _checked(given, {name: _WORKER[name] for name in allowed}, "a worker", keep_none=True)


def _checked(
    given: Mapping[str, Any],
    checks: Mapping[str, Callable[[Any], Any]],
    of: str,
    *,
    keep_none: bool = False,
) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for option, value in given.items():
        check = checks.get(option)
        if check is None:
            raise unknown_option(option, value, of, checks)
        if value is not None:
            checked[option] = check(value)
        elif keep_none:
            checked[option] = None
    return checked


def _integer(option: str, least: int) -> Callable[[Any], int]:
    def check(given: object) -> int:
        if (
            isinstance(given, int)
            and not isinstance(given, bool)
            and least <= given <= _MAX_SMALLINT
        ):
            return int(given)
        raise InvalidOptionError(option, given, f"a whole number from {least} to {_MAX_SMALLINT}")

    return check


def _timeout(given: object) -> float:
    timeout = seconds("timeout", given)
    if timeout == 0:
        raise InvalidOptionError("timeout", given, "more than 0 seconds")
    return timeout


def _schedule_in(given: object) -> float:
    return seconds("schedule_in", given)


def _schedule_at(given: object) -> datetime:
    if not isinstance(given, datetime):
        raise InvalidOptionError("schedule_at", given, "a datetime with a time zone")
    if given.utcoffset() is None:
        raise InvalidOptionError(
            "schedule_at",
            given,
            "a datetime with a time zone; this one is naive: use datetime.now(UTC), "
            "or .astimezone() if local time was meant",
        )
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise InvalidOptionError(
            "schedule_at", given, "a datetime within the years 1 to 9999 UTC"
        ) from None


def _tags(given: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(validate_tag(tag) for tag in listed("tags", given)))


def _backoff(given: object) -> Callable[[int], Any]:
    if iscoroutinefunction(given):
        raise InvalidOptionError("backoff", given, "a plain function of the attempt, not async")
    if not callable(given):
        fixed = seconds("backoff", given)
        return lambda attempt: fixed

    def backoff(attempt: int) -> object:
        computed = given(attempt)
        return computed.total_seconds() if isinstance(computed, timedelta) else computed

    return backoff


def _executor(given: object) -> Callable[[], Executor]:
    if isinstance(given, Executor):
        return lambda: given
    if not callable(given):
        raise InvalidOptionError(
            "executor",
            given,
            "a concurrent.futures.Executor, or a function without parameters that makes one",
        )

    made: Executor | None = None

    def make() -> Executor:
        nonlocal made
        # One whose process died refuses all further work.
        if made is None or getattr(made, "_broken", False):
            new = given()
            if not isinstance(new, Executor):
                raise InvalidOptionError("executor", new, "a concurrent.futures.Executor")
            made = new
        return made

    return make


def _hook(option: str) -> Callable[[Any], Any]:
    def check(given: object) -> object:
        if not iscoroutinefunction(given):
            raise InvalidOptionError(option, given, "an async function of (step, dependency)")
        return given

    return check


_STEP: Mapping[str, Callable[[Any], Any]] = {
    "queue": validate_queue_name,
    "max_attempts": _integer("max_attempts", 1),
    "priority": _integer("priority", 0),
    "tags": _tags,
    "timeout": _timeout,
    "schedule_in": _schedule_in,
    "schedule_at": _schedule_at,
    "model": validate_model_name,
}

_WORKER: Mapping[str, Callable[[Any], Any]] = {
    "name": validate_worker_name,
    **{name: _STEP[name] for name in ("queue", "max_attempts", "priority", "tags", "timeout")},
    "backoff": _backoff,
    "executor": _executor,
    "on_dep_cancelled": _hook("on_dep_cancelled"),
    "on_dep_discarded": _hook("on_dep_discarded"),
}
