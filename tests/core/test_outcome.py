"""Endings: the whole table, and the values a step may return."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from baton.core.outcome import RULES, Cancel, Discard, Ending, Skip, Snooze, outcome, requested
from baton.errors import InvalidOptionError
from baton.words.rows import ClaimedJob, Node, Outcome
from baton.words.states import TERMINAL_STATES, JobState

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NODE = Node(UUID(int=1), "a", 0, None, 0, None)


def claimed(attempt: int = 1, max_attempts: int = 3) -> ClaimedJob:
    return ClaimedJob(7, NOW, "default", "w", "{}", "{}", attempt, max_attempts, NODE)


# Ending: state, state at the last attempt, change of attempt, and what is stored of result, error
# and delay.
EXPECTED = {
    "returned": ("completed", "completed", 0, "r", None, None),
    "stored": ("completed", "completed", 0, None, None, None),
    "snoozed": ("scheduled", "scheduled", -1, None, None, 5.0),
    "cancelled": ("cancelled", "cancelled", 0, None, "why", None),
    "discarded": ("discarded", "discarded", 0, None, "why", None),
    "skipped": ("cancelled", "cancelled", 0, None, "why", None),
    "raised": ("retryable", "discarded", 0, None, "why", 5.0),
    "timed_out": ("retryable", "discarded", 0, None, "why", 5.0),
    "not_storable": ("discarded", "discarded", 0, None, "why", None),
    "not_grown": ("discarded", "discarded", 0, None, "why", None),
    "unknown_worker": ("retryable", "discarded", 0, None, "why", 5.0),
    "invalid_args": ("retryable", "discarded", 0, None, "why", 5.0),
    "unresolved": ("discarded", "discarded", 0, None, "why", None),
    "interrupted": ("available", "available", -1, None, None, None),
    "held": ("suspended", "suspended", -1, None, None, None),
    "suspended": ("suspended", "suspended", -1, None, None, None),
    "doomed": ("cancelled", "cancelled", 0, None, "why", None),
    "not_needed": ("cancelled", "cancelled", 0, None, "why", None),
    "cancelled_before": ("cancelled", "cancelled", -1, None, None, None),
    "discarded_before": ("discarded", "discarded", -1, None, None, None),
    "skipped_before": ("cancelled", "cancelled", -1, None, None, None),
}


def test_a_job_outside_workflows_keeps_no_result() -> None:
    job = claimed(1)._replace(node=None)
    assert outcome(job, Ending.RETURNED, result="r").result is None


def test_the_table_is_whole() -> None:
    assert list(EXPECTED) == list(Ending) == list(RULES)


@pytest.mark.parametrize("attempt", [1, 2, 3, 4])
@pytest.mark.parametrize("ending", Ending)
def test_what_every_ending_writes(ending: Ending, attempt: int) -> None:
    state, last, change, result, error, delay = EXPECTED[ending]
    is_last = attempt >= 3
    written = outcome(claimed(attempt), ending, result="r", error="why", delay=5.0)
    assert written == Outcome(
        job_id=7,
        attempted_at=NOW,
        attempt=attempt,
        state=JobState(last if is_last else state),
        result=result,
        error=error,
        delay=None if is_last and last == "discarded" else delay,
        attempt_change=change,
        skipped=ending in ("skipped", "not_needed", "skipped_before"),
    )


def test_laws_of_the_table() -> None:
    for ending, rule in RULES.items():
        assert rule.meaning
        assert JobState.EXECUTING not in (rule.state, rule.last_state)
        # Without a delay, a terminal state or the attempt given back, a job would be lost or spin.
        assert rule.has_delay or rule.state in TERMINAL_STATES or rule.attempt_change == -1, ending
        # What is skipped is cancelled in the queue.
        assert rule.state is JobState.CANCELLED or not rule.skipped, ending
        # A failure has an error, but for one that failed before: its own is kept.
        failed = rule.state in {"retryable", "cancelled", "discarded"}
        assert rule.has_error == (failed and rule.attempt_change == 0), ending
        assert not (rule.has_result and rule.has_error)


def test_what_a_rule_needs_must_be_given() -> None:
    with pytest.raises(ValueError, match="returned needs a result"):
        outcome(claimed(), Ending.RETURNED)
    with pytest.raises(ValueError, match="raised needs a delay"):
        outcome(claimed(), Ending.RAISED, error="x")
    assert outcome(claimed(3), Ending.RAISED, error="x").state is JobState.DISCARDED


def test_errors_become_storable() -> None:
    written = outcome(claimed(), Ending.CANCELLED, error="a\0b\ud800" + "x" * 100_000)
    assert written.error is not None
    assert written.error.startswith(r"a\x00b\ud800x")
    assert len(written.error.encode()) == 65_536


def test_returned_requests() -> None:
    job = claimed(3)
    assert requested(job, Snooze(5)) == outcome(job, Ending.SNOOZED, delay=5)
    assert requested(job, Cancel("no")) == outcome(job, Ending.CANCELLED, error="no")
    assert requested(job, Discard("no")) == outcome(job, Ending.DISCARDED, error="no")
    assert requested(job, Skip("no")) == outcome(job, Ending.SKIPPED, error="no")
    assert requested(job, Cancel()) == outcome(job, Ending.CANCELLED, error="")
    for value in (None, 0, "Cancel", {"seconds": 1}, Snooze, Cancel):
        assert requested(job, value) is None


@given(st.floats(0, 10 * 366 * 86_400) | st.integers(0, 10 * 366 * 86_400))
def test_a_snooze_takes_up_to_ten_years(seconds: float) -> None:
    assert Snooze(seconds).seconds == seconds


@pytest.mark.parametrize(
    "seconds",
    [-1, -1e-9, math.nan, math.inf, -math.inf, 10**400, 4e8, True, "5", None, Decimal(5), 1j],
)
def test_a_snooze_of_anything_else_is_refused(seconds: Any) -> None:
    with pytest.raises(InvalidOptionError, match="ten years") as caught:
        Snooze(seconds)
    assert caught.value.option == "Snooze.seconds"


@pytest.mark.parametrize("kind", [Cancel, Discard, Skip])
def test_reasons_are_texts(kind: type[Cancel | Discard | Skip]) -> None:
    assert kind().reason == ""
    bad: Any = ValueError("x")
    with pytest.raises(InvalidOptionError, match=f"{kind.__name__}.reason"):
        kind(bad)


def test_they_are_values() -> None:
    assert Snooze(1) == Snooze(1.0)
    assert len({Cancel("a"), Cancel("a"), Discard("a")}) == 2
    with pytest.raises(AttributeError):
        Snooze(1).seconds = 2  # type: ignore[misc]
