"""Naive variants of the library, each of which the machine must tell from it."""

from __future__ import annotations

from model.editing import Edit
from model.mutants_of_conditions import MUTANTS_OF_CONDITIONS
from model.mutants_of_verbs import MUTANTS_OF_VERBS

MUTANTS: dict[str, tuple[Edit, ...]] = {
    "settle by id alone": (
        Edit(
            "baton_settle_and_claim",
            "(j.state = 'executing') IS TRUE AND j.attempted_at = o.claim\n            RETURNING",
            "j.state <> 'completed'\n            RETURNING",
        ),
    ),
    "settle by state, not by claim": (
        Edit(
            "baton_settle_and_claim",
            "AND j.attempted_at = o.claim\n            RETURNING",
            "RETURNING",
        ),
    ),
    "fail without the claim": (
        Edit("finish_jobs", "AND j.attempted_at = o.claim\nRETURNING", "RETURNING"),
        Edit("finish_jobs", "AND (j.state = 'executing') IS TRUE", ""),
    ),
    "give back without the claim": (
        Edit(
            "requeue_jobs", "AND (j.state = 'executing') IS TRUE AND j.attempted_at = o.claim", ""
        ),
    ),
    "a dependency counted twice": (
        Edit(
            "baton_settle_and_claim",
            "greatest(n.pending - d.settled, 0)",
            "greatest(n.pending - 2, 0)",
        ),
    ),
    "a failed dependency not counted": (Edit("decrement_pending", "- o.settled", "- 0"),),
    "a settled step settles again": (
        Edit("settle_nodes", "WHERE n.job_id = o.id AND n.state IS NULL", "WHERE n.job_id = o.id"),
    ),
    "announced again": (
        Edit(
            "find_unannounced",
            "AND NOT EXISTS (SELECT FROM baton.workflow_completions c"
            " WHERE c.workflow_id = w.id AND c.run = w.run)",
            "",
        ),
        Edit(
            "baton_announce",
            "ON CONFLICT DO NOTHING",
            "ON CONFLICT (workflow_id, run) DO UPDATE SET announced_at = clock_timestamp()",
        ),
    ),
    "announced before the end": (
        Edit("baton_announce", "AND w.outstanding = 0", ""),
        Edit("find_unannounced", "w.outstanding = 0", "true"),
    ),
    "jobs pruned before the announcement": (
        Edit(
            "prune_jobs",
            "AND NOT EXISTS (\n            SELECT\n            FROM baton.workflows w",
            "AND false AND NOT EXISTS (\n            SELECT\n            FROM baton.workflows w",
        ),
    ),
    "pruned by an old look": (
        Edit(
            "lock_prunable",
            "WHERE n.workflow_id = w.id",
            "WHERE n.workflow_id = w.id AND false",
        ),
        Edit(
            "lock_prunable",
            "AND EXISTS (SELECT FROM baton.workflow_completions c"
            " WHERE c.workflow_id = w.id AND c.run = w.run)",
            "",
        ),
        Edit("lock_prunable", "AND w.outstanding = 0", ""),
    ),
    "rescued from the living": (
        Edit("find_orphans", "(SELECT a.steady FROM asking a) >= $1 AND NOT", "$1 > 0 OR NOT"),
    ),
    "a rescue costs an attempt": (
        Edit("requeue_jobs", "greatest(j.attempt + o.attempt_change, 0)", "j.attempt"),
    ),
    "held for ever": (
        Edit("hold_jobs", "CASE WHEN n.pending > 0 THEN", "CASE WHEN n.pending >= 0 THEN"),
    ),
    "a claim past the room": (Edit("baton_settle_and_claim", "LIMIT v_room", "LIMIT v_room + 1"),),
    "an event taken twice": (
        Edit("baton_send", "CASE WHEN v_group IS NULL THEN 'kept' ELSE 'taken' END", "'kept'"),
    ),
    "an event kept twice": (
        Edit(
            "baton_send",
            "RETURN QUERY SELECT 'buffered', NULL;",
            "IF p_dedupe IS NULL THEN"
            " INSERT INTO baton.workflow_events (workflow_id, name, payload, state)"
            " VALUES (v_workflow, p_name, p_payload::jsonb, 'kept');"
            " END IF;"
            " RETURN QUERY SELECT 'buffered', NULL;",
        ),
    ),
    "a duplicate counts": (Edit("baton_send_key", "IF FOUND THEN", "IF false THEN"),),
    "a late event counts": (
        Edit(
            "baton_decide_waits",
            "AND (v_group.deadline IS NULL OR e.sent_at <= v_group.deadline)",
            "",
        ),
        Edit(
            "baton_send",
            "AND (g.deadline IS NULL OR g.deadline > clock_timestamp())",
            "",
        ),
    ),
    "time is over with the first event": (
        Edit("baton_decide_waits", "v_group.deadline > v_now OR v_group.deadline IS NULL", "false"),
    ),
    "woken while it runs": (Edit("baton_wake", "AND (j.state = 'suspended') IS TRUE", ""),),
    "more events than needed": (Edit("baton_spread", "AND g.need > (", "AND 0 <= ("),),
    "one event for all who come later": (
        Edit("baton_decide_waits", "THEN 'open' ELSE 'taken' END", "THEN 'open' ELSE e.state END"),
    ),
    "an open event for all who come later": (
        Edit("baton_decide_waits", "AND (e.receivers = 0 OR v_group.id <= e.newest_group)", ""),
    ),
    "nobody looks after an insertion": (
        Edit("baton_arm", "WHEN p_new AND g.correlation_key IS NOT NULL", "WHEN false"),
    ),
    "a kept event is closed as given": (
        Edit("baton_spread", "WHEN e.receivers > 0 OR v_received IS NOT NULL", "WHEN true"),
    ),
    "waits stay open behind their step": (
        Edit("baton_close_waits", "g.status IN ('dormant', 'pending')", "g.status = 'none'"),
    ),
    "a gate moved by hand is lost": (
        Edit(
            "baton_decide_waits",
            "(j.state IN ('suspended', 'available', 'scheduled', 'retryable')) IS TRUE",
            "(j.state = 'suspended') IS TRUE",
        ),
    ),
    "cancelled though it had ended": (
        Edit(
            "cancel_jobs",
            "AND (j.state NOT IN ('completed', 'cancelled', 'discarded')) IS TRUE",
            "",
        ),
        Edit(
            "read_unsettled",
            "AND n.state IS NULL",
            "",
        ),
    ),
}
MUTANTS |= MUTANTS_OF_VERBS
MUTANTS |= MUTANTS_OF_CONDITIONS
QUICK = (
    "settle by id alone",
    "a dependency counted twice",
    "an event taken twice",
    "a retry keeps the run",
    "each alternative that completes counts",
)
"""Those that the ordinary test run tries."""
