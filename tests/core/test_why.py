"""The answers to why a step is waiting, sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from baton.core.gate import PERHAPS_COMPLETED, Dependency, DependencyRules
from baton.core.why import MOST_COUNTED, StepFacts, explain
from baton.words.insights import EngineRow, WaitsFor, Why
from baton.words.states import JobState, StepState

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
SOON = NOW + timedelta(seconds=30)
LIVE = EngineRow(UUID(int=1), "zoo", "host", NOW, NOW, 3.0, 60.0, live=True)
SILENT = replace(LIVE, silent_for=300.0, live=False)

FACTS = StepFacts(
    workflow_id=UUID(int=7),
    step="b",
    job_id=1,
    now=NOW,
    settled=None,
    job_state=JobState.AVAILABLE,
    queue="io",
    attempt=1,
    max_attempts=3,
    scheduled_at=NOW - timedelta(seconds=5),
    attempted_at=NOW - timedelta(seconds=9),
    finished_at=None,
    error=None,
    host="host",
    by_baton=True,
    engine=LIVE,
    ahead=0,
    executing=4,
    live_engines=1,
    serving=1,
    room=20,
)


def why(
    dependencies: Sequence[tuple[str, str | None, str | None]] = (),
    *,
    ignore_cancelled: bool = False,
    ignore_discarded: bool = False,
    run_when_skipped: bool = False,
    **facts: Any,
) -> Why:
    given = [
        Dependency(name, settled and StepState(settled), job and JobState(job))  # type: ignore[arg-type]
        for name, settled, job in dependencies
    ]
    if state := facts.get("job_state"):
        facts["job_state"] = JobState(state)
    if state := facts.get("settled"):
        facts["settled"] = StepState(state)
    return explain(
        replace(FACTS, **facts),
        given,
        DependencyRules(ignore_cancelled, ignore_discarded, run_when_skipped),
    )


DONE = ("a", "completed", None)
MANY = [(f"d{number}", None, "available") for number in range(9)]
BUSY = ("c", None, "executing")


@pytest.mark.parametrize(
    ("facts", "reason", "sentence"),
    [
        (
            {"settled": "completed", "job_state": "completed", "finished_at": NOW, "error": "old"},
            "settled",
            "settled as completed at 2026-01-02 12:00:00 UTC",
        ),
        (
            {"settled": "discarded", "job_state": "discarded", "error": "ValueError: no\n at …"},
            "settled",
            "settled as discarded: ValueError: no",
        ),
        (
            {"settled": "skipped", "job_state": "cancelled", "error": "no new data"},
            "settled",
            "settled as skipped: no new data",
        ),
        (
            {"settled": "skipped", "job_state": None, "dependencies": [("a", "skipped", None)]},
            "settled",
            "settled as skipped: all its dependencies were skipped, the last of them 'a'",
        ),
        (
            {"job_state": "suspended", "dependencies": [("a", "skipped", "cancelled")]},
            "doomed",
            "is about to be skipped: all its dependencies were skipped, the last of them 'a'",
        ),
        (
            {"settled": "cancelled", "job_state": None, "dependencies": [("a", "discarded", None)]},
            "settled",
            "settled as cancelled: dependency 'a' was discarded",
        ),
        (
            {"settled": "cancelled", "job_state": "available", "error": "old", "finished_at": NOW},
            "settled",
            (
                "settled as cancelled; its job was moved by hand and is available, the step stays "
                "settled"
            ),
        ),
        (
            {"job_state": None},
            "gone",
            f"has not settled, and its job was deleted; {PERHAPS_COMPLETED}",
        ),
        (
            {"job_state": "cancelled"},
            "ended",
            (
                "has not settled, though its job is cancelled: it was ended by other means than "
                "Baton's"
            ),
        ),
        (
            {"job_state": "executing"},
            "executing",
            "is executing since 2026-01-02 11:59:51 UTC by engine 'zoo' on host, alive 3.0 s ago",
        ),
        (
            {"job_state": "executing", "engine": SILENT},
            "orphaned",
            (
                "is executing since 2026-01-02 11:59:51 UTC by engine 'zoo' on host, silent for "
                "5.0 min: a live engine rescues it"
            ),
        ),
        (
            {"job_state": "executing", "engine": None},
            "orphaned",
            (
                "is executing since 2026-01-02 11:59:51 UTC by an engine on host that is not known "
                "any more: a live engine rescues it"
            ),
        ),
        (
            {"job_state": "executing", "engine": None, "by_baton": False, "host": "elixir"},
            "foreign",
            "is executing since 2026-01-02 11:59:51 UTC on elixir, which has no heartbeat",
        ),
        (
            {"job_state": "suspended", "dependencies": [DONE, ("b", "discarded", None), BUSY]},
            "doomed",
            "is about to be cancelled: dependency 'b' was discarded",
        ),
        (
            {"job_state": "suspended", "dependencies": [("a", None, None)]},
            "doomed",
            (
                "is about to be cancelled: dependency 'a' vanished: its job was deleted before it "
                f"settled; {PERHAPS_COMPLETED}"
            ),
        ),
        (
            {"job_state": "suspended", "dependencies": [DONE, BUSY, ("e", None, "scheduled")]},
            "dependencies",
            "waits for dependencies (2 of 3): 'c' is executing, 'e' is scheduled",
        ),
        (
            {"job_state": "available", "dependencies": [BUSY]},
            "dependencies",
            (
                "waits for dependencies (1 of 1): 'c' is executing; its job was moved by hand and "
                "is available, the gate will hold it"
            ),
        ),
        (
            {
                "job_state": "suspended",
                "dependencies": [(f"d{n}", None, "available") for n in range(9)],
            },
            "dependencies",
            (
                "waits for dependencies (9 of 9): 'd0' is available, 'd1' is available, 'd2' is "
                "available, 'd3' is available, 'd4' is available, 4 more"
            ),
        ),
        (
            {"job_state": "suspended", "dependencies": [DONE]},
            "unreleased",
            "is suspended, though no dependency holds it",
        ),
        (
            {"job_state": "suspended", "dependencies": [DONE, ("c", None, "completed")]},
            "unreleased",
            (
                "is suspended, though no dependency holds it; not settled, though their jobs have "
                "ended: 'c'"
            ),
        ),
        (
            {"job_state": "scheduled", "scheduled_at": NOW + timedelta(hours=3)},
            "scheduled",
            "waits for its time: 2026-01-02 15:00:00 UTC, in 3.0 h",
        ),
        (
            {"job_state": "scheduled"},
            "scheduled",
            "waits for its time, due for 5.0 s: a live engine makes it available",
        ),
        (
            {"job_state": "retryable", "live_engines": 0, "error": "E: x"},
            "retryable",
            (
                "failed on attempt 1 of 3, waits to be tried again, due for 5.0 s: no engine is "
                "alive; its error: E: x"
            ),
        ),
        (
            {
                "job_state": "retryable",
                "scheduled_at": NOW + timedelta(seconds=30),
                "error": "E: x",
            },
            "retryable",
            (
                "failed on attempt 1 of 3, waits to be tried again: 2026-01-02 12:00:30 UTC, in 30 "
                "s; its error: E: x"
            ),
        ),
        (
            {},
            "queued",
            (
                "may run in queue 'io' since 2026-01-02 11:59:55 UTC; jobs before it: 0, executing "
                "in that queue: 4, live engines that serve it: 1, for 20 jobs at once"
            ),
        ),
        (
            {"live_engines": 2, "serving": 0, "room": 0},
            "no_engine",
            (
                "may run in queue 'io' since 2026-01-02 11:59:55 UTC, but none of the live engines "
                "(2) serves that queue"
            ),
        ),
        (
            {"live_engines": 3, "serving": 0, "paused": 2, "room": 0},
            "no_engine",
            (
                "may run in queue 'io' since 2026-01-02 11:59:55 UTC, but the live engines that "
                "serve that queue (2) have paused it"
            ),
        ),
        (
            {"live_engines": 0},
            "no_engine",
            "may run in queue 'io' since 2026-01-02 11:59:55 UTC, but no engine is alive",
        ),
        (
            {"attempt": 3},
            "exhausted",
            "is available but has used its 3 attempts: nobody claims it",
        ),
    ],
)
def test_every_reason_has_its_sentence(facts: dict[str, Any], reason: str, sentence: str) -> None:
    given = dict(facts)
    told = why(given.pop("dependencies", ()), **given)
    assert (told.reason, told.sentence) == (reason, f"step 'b' {sentence}")


@pytest.mark.parametrize("job", [None, *JobState])
@pytest.mark.parametrize("settled", [None, *StepState])
@pytest.mark.parametrize("dependency", [None, *JobState, StepState.SKIPPED])
def test_there_is_an_answer_to_everything(
    job: JobState | None, settled: StepState | None, dependency: JobState | StepState | None
) -> None:
    for engine in (None, LIVE, SILENT):
        for by_baton in (True, False):
            told = why(
                [("a", "skipped", None) if dependency == "skipped" else ("a", None, dependency)],
                job_state=job,
                settled=settled,
                engine=engine,
                by_baton=by_baton,
                host=None,
                attempted_at=None,
                scheduled_at=None,
                finished_at=None,
            )
            assert told.sentence.startswith("step 'b' ")
            assert "None" not in told.sentence


def test_facts_stand_beside_the_sentence() -> None:
    held = why([DONE, BUSY], job_state="suspended")
    assert held.dependencies == (WaitsFor("c", JobState.EXECUTING),)
    assert (held.workflow_id, held.step, held.job_id, held.queue) == (UUID(int=7), "b", 1, "io")
    running = why(job_state="executing")
    assert (running.engine, running.since) == (LIVE, FACTS.attempted_at)
    queued = why(ahead=MOST_COUNTED)
    assert (queued.ahead, queued.executing, queued.live_engines) == (MOST_COUNTED, 4, 1)
    assert "jobs before it: 10000 or more," in queued.sentence
    retried = why(job_state="retryable", error="x" * 900)
    assert (retried.until, retried.error) == (FACTS.scheduled_at, "x" * 900)
    assert len(retried.sentence) < 400


def test_ignored_failures_hold_nothing() -> None:
    failed = [("a", "cancelled", None), ("c", "discarded", None)]
    assert why(failed, job_state="suspended", ignore_cancelled=True).reason == "doomed"
    both = {"ignore_cancelled": True, "ignore_discarded": True}
    assert why(failed, job_state="suspended", **both).reason == "unreleased"
    held = why([*failed, BUSY], job_state="suspended", **both)
    assert held.dependencies == (WaitsFor("c", JobState.EXECUTING),)
