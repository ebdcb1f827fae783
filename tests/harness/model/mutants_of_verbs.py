"""Naive variants of what people do to workflows, and of skipping."""

from __future__ import annotations

from model.editing import Edit

MUTANTS_OF_VERBS: dict[str, tuple[Edit, ...]] = {
    "a reset step is not waited for again": (
        Edit("count_again", "SET pending = w.pending, released_at", "SET released_at"),
    ),
    "a reset forgets what had failed": (
        Edit("restart_workflow", "failed = w.failed - $3::integer", "failed = w.failed - 0 * $3"),
    ),
    "a retry keeps the run": (
        Edit("restart_workflow", "run = w.run + (w.outstanding = 0)::integer", "run = w.run"),
    ),
    "a reset leaves waits as they are": (
        Edit(
            "drop_waits",
            "WHERE w.id = g.id AND g.wait_step",
            "WHERE w.id = g.id AND g.wait_step AND false",
        ),
    ),
    "a reset step waits for none that was reset": (
        Edit(
            "count_pending", "AND d.state IS NULL", "AND d.state IS NULL AND d.job_id <> ALL ($1)"
        ),
    ),
    "a retry keeps the former budget": (
        Edit("reset_jobs", "least(j.attempt + j.max_attempts", "least(j.max_attempts"),
    ),
    "skipped though something completed": (
        Edit(
            "read_downstream",
            "WHERE s.job_id = d.job_id AND s.state = 'skipped'",
            "WHERE s.job_id = d.job_id AND s.state IS NOT NULL",
        ),
    ),
    "not skipped though all were": (
        Edit("read_downstream", ")::integer END AS unskipped", ")::integer + 1 END AS unskipped"),
    ),
    "a retry forgets what was skipped": (
        Edit(
            "restart_workflow", "skipped = w.skipped - $4::integer", "skipped = w.skipped - 0 * $4"
        ),
    ),
    "a retry begins what would be skipped": (
        Edit(
            "find_dooming", "OR (d.state = 'skipped') IS TRUE", "OR false AND (d.state = 'skipped')"
        ),
    ),
}
