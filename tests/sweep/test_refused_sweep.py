"""What the database refuses to the sweep keeps it from nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from baton import Baton, Plugin, Step, insert_all, worker
from baton.words.events import SweepFinished
from support.refusing import accept, refuse
from support.running import Run, running

CODES = ("P0001", "AB123", "42P01", "54000")

_UNANNOUNCED = """
WITH nodes AS (
    UPDATE baton.workflow_nodes SET state = 'discarded', pending = 0 RETURNING job_id
), jobs AS (
    UPDATE baton.oban_jobs SET state = 'discarded', discarded_at = timezone('UTC', now())
)
UPDATE baton.workflows SET outstanding = 0, failed = 1, finished_at = now()
"""


@worker(name="sweep.never")
async def never(step: Step) -> int:
    return step.attempt


@worker(name="sweep.captures")
async def captures(step: Step) -> None:
    await step.capture("label", {"of": step.name})


@pytest.fixture
async def run(dsn: str) -> AsyncIterator[Run]:
    async with running(dsn) as made:
        yield made


async def _workflows(run: Run) -> list[Baton]:
    made = [Baton().add("a", never.new(), schedule_in=3_600) for _ in range(7)]
    await insert_all(made, engine=run.engine)
    return sorted(made, key=lambda one: one.workflow_id)


async def _left(run: Run, table: str) -> int:
    found: int = await run.tables.value(f"SELECT count(*) FROM baton.{table}")
    return found


def _logged(caplog: pytest.LogCaptureFixture, what: str) -> list[str]:
    return [text for text in caplog.messages if what in text]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("what", ["settled by the sweep", "announced"])
async def test_a_workflow_that_is_refused_keeps_no_other(
    run: Run, code: str, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflows = await _workflows(run)
    if what == "announced":
        await run.tables.execute(_UNANNOUNCED)
    else:
        await run.tables.execute("DELETE FROM baton.oban_jobs")
    bad = workflows[3].workflow_id
    when = f"NEW.workflow_id = '{bad}'"
    await refuse(run.tables, when, code, table="workflow_completions", event="INSERT")
    plugin = Plugin()
    for _ in range(3):
        await plugin.sweep(run.engine.database)
        assert await _left(run, "workflow_completions") == 6
    assert {event.failed for event in run.events.of(SweepFinished)} == {()}
    (line,) = _logged(caplog, f"workflow {bad} cannot be {what}")
    assert code in line
    await accept(run.tables, table="workflow_completions")
    for part in (plugin._sweeper._unsettled, plugin._sweeper._unannounced):
        part.accept(part.ids)
    await plugin.sweep(run.engine.database)
    assert await _left(run, "workflow_completions") == 7


@pytest.mark.parametrize("code", CODES)
async def test_a_workflow_that_cannot_be_pruned_keeps_no_other(
    run: Run, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflows = await _workflows(run)
    await run.tables.execute("DELETE FROM baton.oban_jobs")
    await Plugin().sweep(run.engine.database)
    bad = workflows[3].workflow_id
    when = f"OLD.workflow_id = '{bad}'"
    await refuse(run.tables, when, code, table="workflow_nodes", event="DELETE")
    plugin = Plugin(prune=True)
    for _ in range(2):
        await plugin.sweep(run.engine.database)
        assert await _left(run, "workflow_nodes") == 1
    assert {event.failed for event in run.events.of(SweepFinished)} == {()}
    assert len(_logged(caplog, f"workflow {bad} cannot be pruned")) == 1
    await accept(run.tables, table="workflow_nodes")
    await plugin.sweep(run.engine.database)
    assert await _left(run, "workflow_nodes") == 0


@pytest.mark.parametrize("code", CODES)
async def test_a_job_that_cannot_be_pruned_keeps_no_other(
    run: Run, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflows = await _workflows(run)
    for number, workflow in enumerate(workflows):
        await run.tables.execute(
            "UPDATE baton.workflow_nodes SET state = 'completed', result = '{\"value\": 1}'"
            " WHERE workflow_id = $1",
            workflow.workflow_id,
        )
        await run.tables.change(
            workflow, "a", state="'completed'", completed_at=f"now() - interval '{9 - number} day'"
        )
    await run.tables.execute("UPDATE baton.workflows SET outstanding = 0, finished_at = now()")
    bad = (await run.tables.step(workflows[3], "a")).id
    await refuse(run.tables, f"OLD.id = {bad}", code, event="DELETE")
    plugin = Plugin(job_max_age={"completed": 60})
    for _ in range(2):
        await plugin.sweep(run.engine.database)
        assert await _left(run, "oban_jobs") == 1
    assert len(_logged(caplog, f"job {bad} cannot be pruned")) == 1
    await accept(run.tables)
    await plugin.sweep(run.engine.database)
    assert await _left(run, "oban_jobs") == 0
    await run.tables.execute("DELETE FROM baton.workflow_nodes")
    await run.tables.execute("DELETE FROM baton.workflow_completions")
    await run.tables.execute("DELETE FROM baton.workflows")


_ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "workflow_debug_logs": (
        (
            "INSERT INTO baton.workflow_debug_logs"
            " (id, job_id, attempt, label, content, recorded_at)"
            " SELECT gen_random_uuid(), 1, 1, 'x', '1', now() - make_interval(days => 9, mins => g)"
            " FROM generate_series(1, 9) g"
        ),
        "debug log",
        {"debug_log_max_age": 60.0},
    ),
    "workflow_step_stats": (
        (
            "INSERT INTO baton.workflow_step_stats (id, job_id, attempt, model, input_tokens,"
            " output_tokens, cache_read_tokens, cache_write_tokens)"
            " SELECT gen_random_uuid(), 1, 1, 'm', 1, 1, 1, 1 FROM generate_series(1, 9) g"
        ),
        "statistics",
        {"prune": True},
    ),
    "workflow_events": (
        (
            "INSERT INTO baton.workflow_events (correlation_key, name, payload, state, sent_at)"
            " SELECT 'key', 'name', '1', 'kept', now() - make_interval(days => 90, mins => g)"
            " FROM generate_series(1, 9) g"
        ),
        "event",
        {"prune": True},
    ),
}


@pytest.mark.parametrize("table", _ROWS)
async def test_a_row_that_cannot_be_pruned_keeps_no_other(
    run: Run, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows, named, options = _ROWS[table]
    await run.tables.execute(rows)
    bad = await run.tables.value(f"SELECT id FROM baton.{table} ORDER BY id LIMIT 1 OFFSET 4")
    await refuse(run.tables, f"OLD.id = '{bad}'", "AB123", table=table, event="DELETE")
    plugin = Plugin(**options)
    for _ in range(3):
        await plugin.sweep(run.engine.database)
        assert await _left(run, table) == 1
    assert {event.failed for event in run.events.of(SweepFinished)} == {()}
    (line,) = _logged(caplog, "cannot be pruned")
    assert f"{named} {bad}" in line
    await accept(run.tables, table=table)
    await plugin.sweep(run.engine.database)
    assert await _left(run, table) == 0
