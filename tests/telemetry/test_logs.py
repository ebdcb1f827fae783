"""Events as log lines."""

from __future__ import annotations

import io
import json
import logging
from uuid import UUID

from baton.contrib.logs import log_events
from baton.telemetry import seam
from baton.words.events import (
    RowsPruned,
    StepCompleted,
    StepDiscarded,
    StepExecuting,
    WorkflowFinished,
)
from baton.words.states import JobState, WorkflowOutcome

ID = UUID(int=7)
STEP = ("main", 1, "fetch", "default", JobState.COMPLETED, 1, ID, None, "a b")
COMPLETED = StepCompleted(*STEP, duration=0.25, has_result=True, error=None)
DISCARDED = StepDiscarded(*STEP, duration=0.25, has_result=False, error='ValueError: "x"\nline 2')
FINISHED = WorkflowFinished(
    "main", ID, "ingest", WorkflowOutcome.FAILED, ("a", "b"), 2, 3, 1.5, 0.0
)
PRUNED = RowsPruned(None, 3, {"workflows": 1, "oban_jobs": 2})


def written(*, json: bool = False, level: int = logging.INFO) -> list[str]:
    stream = io.StringIO()
    stop = log_events(json=json, level=level, stream=stream)
    try:
        for event in (StepExecuting(*STEP), COMPLETED, DISCARDED, FINISHED, PRUNED):
            seam.emit(event)
    finally:
        stop()
    seam.emit(COMPLETED)
    return stream.getvalue().splitlines()


def test_lines_for_people() -> None:
    completed, discarded, finished, pruned = [line.split(" ", 2)[2] for line in written()]
    assert completed == (
        "baton.step.completed engine=main job_id=1 worker=fetch queue=default state=completed"
        f' attempt=1 workflow_id={ID} step="a b" duration=0.25 has_result=True'
    )
    assert discarded.endswith(r'has_result=False error="ValueError: \"x\"\nline 2"')
    assert "outcome=failed failed_steps=\"('a', 'b')\" failed_count=2" in finished
    assert pruned.startswith("baton.plugin.pruned count=3 tables=")


def test_lines_for_machines() -> None:
    records = [json.loads(line) for line in written(json=True)]
    assert [record.pop("event") for record in records] == [
        "baton.step.completed",
        "baton.step.discarded",
        "baton.workflow.finished",
        "baton.plugin.pruned",
    ]
    assert all(record.pop("time").endswith("+00:00") for record in records)
    assert records[1]["error"] == 'ValueError: "x"\nline 2'
    assert records[2] == {
        "engine": "main",
        "workflow_id": str(ID),
        "workflow_name": "ingest",
        "outcome": "failed",
        "failed_steps": ["a", "b"],
        "failed_count": 2,
        "total_count": 3,
        "duration": 1.5,
        "announce_lag": 0.0,
        "run": 1,
        "skipped_steps": [],
    }
    assert records[3] == {"count": 3, "tables": {"workflows": 1, "oban_jobs": 2}}


def test_levels() -> None:
    assert [len(written(level=level)) for level in (10, 20, 30, 40)] == [5, 4, 1, 0]


def test_a_logger_of_the_callers_own() -> None:
    records: list[logging.LogRecord] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger = logging.Logger("theirs", logging.WARNING)
    logger.addHandler(Keeps())
    stop = log_events(logger)
    seam.emit(COMPLETED)
    seam.emit(DISCARDED)
    stop()
    (record,) = records
    assert record.levelno == logging.WARNING
    assert record.__dict__["event"] is DISCARDED
