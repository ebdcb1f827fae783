"""Naive variants of what people do to workflows, and of skipping."""

from __future__ import annotations

from model.editing import Edit

MUTANTS_OF_VERBS: dict[str, tuple[Edit, ...]] = {
    "a reset step is not waited for again": (
        Edit(
            "count_again",
            "SET pending = $2::integer + w.unsettled",
            "SET pending = 0 * w.unsettled",
        ),
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
        Edit("read_downstream", "NOT EXISTS (SELECT FROM downstream d WHERE d.skips)", "false"),
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
    "a pause does not count": (Edit("pause_workflow", "n.pending + 1", "n.pending + 0"),),
    "a pause leaves what is ready": (
        Edit("pause_jobs", "'available', 'scheduled', 'retryable'", "'scheduled', 'retryable'"),
    ),
    "a reset forgets the pause": (Edit("count_pending", "+ $2::integer +", "+ 0 * $2::integer +"),),
    "a resume begins no waits": (
        Edit("resume_workflow", "c.opens AND c.pending = 1", "c.opens AND c.pending < 0"),
    ),
    "what was cancelled by name is begun again": (
        Edit("find_doomed_below", "a.action = 'cancel_step'", "a.action = 'nothing'"),
    ),
    "what had begun is begun again": (
        Edit("baton_begun", "j.attempted_at IS NOT NULL", "j.attempted_at IS NULL"),
    ),
    "a late outcome is the echo of a completion by hand": (
        Edit("complete_job", "j.attempted_at + interval '1 microsecond'", "j.attempted_at"),
    ),
    "a deadline that has passed is not seen": (
        Edit("take_deadline", "AND d.deadline <= clock_timestamp()", "AND d.deadline > now()"),
    ),
    "a fork counts what it took over": (
        Edit("begin_fork", "w.outstanding - $3::integer", "w.outstanding - 0 * $3::integer"),
    ),
    "a fork takes over failures as none": (
        Edit("begin_fork", "failed = $4::integer", "failed = 0 * $4::integer"),
    ),
}
