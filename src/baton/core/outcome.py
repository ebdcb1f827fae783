"""How an attempt ended, and what is written of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from baton.core import checks
from baton.core.errortext import sanitize
from baton.words.argument_errors import InvalidOptionError
from baton.words.rows import ClaimedJob, Outcome
from baton.words.states import JobState


class Request(Exception):  # noqa: N818 no error
    """What a step asks for instead of a result, by returning or by raising it."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.args == self.args

    def __hash__(self) -> int:
        return hash((type(self), self.args))


class Snooze(Request):
    """Return or raise this in a step to be performed again after `seconds` (a number or a
    timedelta, 0 to ten years).

    The attempt is given back.
    """

    def __init__(self, seconds: float | timedelta) -> None:
        super().__init__(checks.seconds("Snooze.seconds", seconds))

    @property
    def seconds(self) -> float:
        given: float = self.args[0]
        return given


class Cancel(Request):
    """Return or raise this in a step to cancel it: it failed on purpose and is not tried again."""

    def __init__(self, reason: str = "") -> None:
        _check_reason("Cancel.reason", reason)
        super().__init__(reason)

    @property
    def reason(self) -> str:
        return str(self.args[0])


class Discard(Request):
    """Return or raise this in a step to discard it: it failed and is not tried again."""

    def __init__(self, reason: str = "") -> None:
        _check_reason("Discard.reason", reason)
        super().__init__(reason)

    @property
    def reason(self) -> str:
        return str(self.args[0])


class Skip(Request):
    """Return or raise this in a step that has nothing to do: it settles as skipped, which is no
    failure. What depends on it runs, without a result to read, unless all its dependencies were
    skipped: then it is skipped too. In a job outside workflows it is the same as Cancel.
    """

    def __init__(self, reason: str = "") -> None:
        _check_reason("Skip.reason", reason)
        super().__init__(reason)

    @property
    def reason(self) -> str:
        return str(self.args[0])


class Ending(StrEnum):
    """What happened to an attempt."""

    RETURNED = "returned"
    STORED = "stored"
    SNOOZED = "snoozed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"
    SKIPPED = "skipped"
    RAISED = "raised"
    TIMED_OUT = "timed_out"
    NOT_STORABLE = "not_storable"
    NOT_GROWN = "not_grown"
    UNKNOWN_WORKER = "unknown_worker"
    INVALID_ARGS = "invalid_args"
    UNRESOLVED = "unresolved"
    INTERRUPTED = "interrupted"
    HELD = "held"
    SUSPENDED = "suspended"
    DOOMED = "doomed"
    NOT_NEEDED = "not_needed"
    CANCELLED_BEFORE = "cancelled_before"
    DISCARDED_BEFORE = "discarded_before"
    SKIPPED_BEFORE = "skipped_before"


class Rule(NamedTuple):
    """What an ending writes.

    `state` is the job's state, `last_state` its state when this was the last attempt,
    `attempt_change` is -1 where the attempt is given back; with `skipped` the step settles as
    skipped; the rest tells what comes with it.
    """

    meaning: str
    state: JobState
    last_state: JobState
    attempt_change: int = 0
    has_result: bool = False
    has_error: bool = False
    has_delay: bool = False
    skipped: bool = False


def _completed(meaning: str, *, has_result: bool) -> Rule:
    return Rule(meaning, JobState.COMPLETED, JobState.COMPLETED, has_result=has_result)


def _final(meaning: str, state: JobState) -> Rule:
    return Rule(meaning, state, state, has_error=True)


def _skipped(meaning: str) -> Rule:
    return _final(meaning, JobState.CANCELLED)._replace(skipped=True)


def _failure(meaning: str) -> Rule:
    return Rule(meaning, JobState.RETRYABLE, JobState.DISCARDED, has_error=True, has_delay=True)


def _given_back(meaning: str, state: JobState, *, has_delay: bool = False) -> Rule:
    return Rule(meaning, state, state, attempt_change=-1, has_delay=has_delay)


RULES: Mapping[Ending, Rule] = MappingProxyType(
    {
        Ending.RETURNED: _completed("a value was returned", has_result=True),
        Ending.STORED: _completed("the step has completed before: not performed", has_result=False),
        Ending.SNOOZED: _given_back(
            "Snooze was returned or raised", JobState.SCHEDULED, has_delay=True
        ),
        Ending.CANCELLED: _final("Cancel was returned or raised", JobState.CANCELLED),
        Ending.DISCARDED: _final("Discard was returned or raised", JobState.DISCARDED),
        Ending.SKIPPED: _skipped("Skip was returned or raised"),
        Ending.RAISED: _failure("an error was raised"),
        Ending.TIMED_OUT: _failure("the timeout passed"),
        # The same code would return the same again, after its side effects happened again.
        Ending.NOT_STORABLE: _final("the returned value cannot be stored", JobState.DISCARDED),
        Ending.NOT_GROWN: _final(
            "the steps that it adds do not fit the workflow", JobState.DISCARDED
        ),
        Ending.UNKNOWN_WORKER: _failure("no such worker is registered here"),
        Ending.INVALID_ARGS: _failure("the worker does not accept the stored arguments"),
        # What it depends on has settled: its results are what they are.
        Ending.UNRESOLVED: _final("an argument refers to what is not there", JobState.DISCARDED),
        Ending.INTERRUPTED: _given_back("the engine stopped", JobState.AVAILABLE),
        Ending.HELD: _given_back("a dependency has not settled", JobState.SUSPENDED),
        Ending.SUSPENDED: _given_back("the step waits for events or a time", JobState.SUSPENDED),
        Ending.DOOMED: _final("a dependency failed or vanished", JobState.CANCELLED),
        Ending.NOT_NEEDED: _skipped("all dependencies were skipped, or its condition is not met"),
        # Moved by hand: its error and its attempts are those of its failure.
        Ending.CANCELLED_BEFORE: _given_back(
            "the step was cancelled before: not performed", JobState.CANCELLED
        ),
        Ending.DISCARDED_BEFORE: _given_back(
            "the step was discarded before: not performed", JobState.DISCARDED
        ),
        Ending.SKIPPED_BEFORE: _given_back(
            "the step was skipped before: not performed", JobState.CANCELLED
        )._replace(skipped=True),
    }
)
"""The whole table, one rule for every ending."""


def outcome(
    job: ClaimedJob,
    ending: Ending,
    *,
    result: str | None = None,
    error: str = "",
    delay: float | None = None,
) -> Outcome:
    """What is to be written of a claimed job whose attempt ended so.

    `result` is JSON text, `delay` seconds, `error` the text to store (made storable here). What the
    ending's rule has no place for is left out; a missing result or delay is a ValueError.
    """
    rule = RULES[ending]
    state = rule.state if job.attempt < job.max_attempts else rule.last_state
    delayed = rule.has_delay and state is rule.state
    if (rule.has_result and result is None) or (delayed and delay is None):
        raise ValueError(f"{ending} needs a {'result' if rule.has_result else 'delay'}")
    return Outcome(
        job.id,
        job.attempted_at,
        job.attempt,
        state,
        # A job outside workflows has nowhere to keep one.
        result=result if rule.has_result and job.node is not None else None,
        error=sanitize(error) if rule.has_error else None,
        delay=delay if delayed else None,
        attempt_change=rule.attempt_change,
        skipped=rule.skipped,
    )


def requested(job: ClaimedJob, given: object) -> Outcome | None:
    """The outcome a step asked for by returning or raising Snooze, Cancel, Discard or Skip; None
    for anything else.
    """
    match given:
        case Snooze(seconds=delay):
            return outcome(job, Ending.SNOOZED, delay=delay)
        case Cancel(reason=reason):
            return outcome(job, Ending.CANCELLED, error=reason)
        case Discard(reason=reason):
            return outcome(job, Ending.DISCARDED, error=reason)
        case Skip(reason=reason):
            return outcome(job, Ending.SKIPPED, error=reason)
        case _:
            return None


def _check_reason(option: str, given: object) -> None:
    if not isinstance(given, str):
        raise InvalidOptionError(option, given, "a text")
