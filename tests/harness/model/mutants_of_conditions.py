"""Naive variants of conditions and alternatives."""

from __future__ import annotations

from model.editing import Edit

MUTANTS_OF_CONDITIONS: dict[str, tuple[Edit, ...]] = {
    "every condition is met": (Edit("baton_unmet", "IF NOT FOUND THEN", "IF true THEN"),),
    "one is enough for unless": (Edit("baton_unmet", "bool_and((d.result", "bool_or((d.result"),),
    "a condition is equality": (Edit("baton_unmet", "'value' @> c.value", "'value' = c.value"),),
    "a cancelled dependency is no failure": (
        Edit("baton_unmet", "d.state IN ('cancelled', 'discarded')", "d.state = 'discarded'"),
    ),
    "skipped while it runs": (
        Edit("baton_open", "'scheduled', 'retryable')", "'scheduled', 'retryable', 'executing')"),
    ),
    "left alone because its job is gone": (
        Edit(
            "baton_open",
            "OR NOT EXISTS (SELECT FROM baton.oban_jobs j WHERE j.id = n.job_id)",
            "",
        ),
    ),
    "a resume decides nothing": (
        Edit("resume_workflow", "n.waits OR n.undecided AS opens", "n.waits AS opens"),
    ),
    "a skipped alternative ends nothing": (
        Edit(
            "baton_open",
            "FROM skipped s, unnest(s.any_dependents)",
            "FROM skipped s, unnest('{}'::bigint[])",
        ),
    ),
    "a skipped alternative is a failed one": (
        Edit(
            "read_downstream",
            "AND a.state = 'skipped' AND a.job_id <> ALL",
            "AND false AND a.job_id <> ALL",
        ),
    ),
    "each alternative that completes counts": (
        Edit("baton_settle_and_claim", "AND n.any_of_state IS NULL", ""),
    ),
    "a reset alternative has failed": (
        Edit("baton_any_of", "WHEN bool_or(a.state IS NULL) THEN NULL", ""),
    ),
    "an alternative that failed and is ignored is not enough": (
        Edit("baton_any_of", "OR a.state = 'cancelled' AND n.ignore_cancelled", ""),
        Edit("baton_any_of", "OR a.state = 'discarded' AND n.ignore_discarded", ""),
    ),
    "a retry keeps the decision": (
        Edit("reset_nodes", "undecided = n.condition IS NOT NULL", "undecided = false"),
    ),
    "what waits inside is decided on again": (Edit("count_again", "AND NOT g.begun", ""),),
    "a wait and a decision both count": (
        Edit(
            "baton_suspend",
            "n.pending + (NOT n.undecided)::integer, undecided = false",
            "n.pending + 1",
        ),
    ),
    "a failure that is left does not count": (Edit("count_again", "+ w.doomed::integer", ""),),
    "what was moved by hand sleeps in a pause": (Edit("pause_jobs", "AND n.pending = 0", ""),),
    "alternatives that failed stay so": (
        Edit("find_doomed_below", "THEN n.any_of\n", "THEN NULL\n"),
    ),
    "a job that has ended is enough for a condition": (
        Edit("read_dependencies", "    n.undecided\n", "    false AS undecided\n"),
    ),
    "a step that is ruled out sleeps": (
        Edit(
            "baton_suspend",
            "IF v_one.pending > 0 AND",
            "IF v_one.pending < 0 AND",
        ),
    ),
}
