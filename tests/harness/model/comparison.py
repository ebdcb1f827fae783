"""The tables and the model in one form, to be compared; and what no table may ever show."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import asyncpg

from model.needs import DOOMS, MET, OPEN, SKIPPED
from model.operations import Model
from model.state import TERMINAL, Event, Group, Step, Workflow

Dump: TypeAlias = dict[str, dict[str, Any]]

QUERY = """
SELECT json_build_object(
    'workflows', (
        SELECT json_object_agg(w.id, json_build_array(
            w.steps, w.outstanding, w.failed, w.skipped, w.finished_at IS NOT NULL, w.run,
            w.paused_at IS NOT NULL
        )) FROM baton.workflows w
    ),
    'completions', (
        SELECT json_object_agg(c.workflow_id || '/' || c.run, json_build_array(
            c.outcome, c.failed_steps, c.skipped_steps, c.failed_count, c.total_count
        )) FROM baton.workflow_completions c
    ),
    'announcements', (
        SELECT json_object_agg(a.workflow_id, a.count)
        FROM (SELECT workflow_id, count(*) FROM public.announced GROUP BY workflow_id) a
    ),
    'nodes', (
        SELECT json_object_agg(n.job_id, json_build_array(
            n.workflow_id, n.name, n.state, n.result,
            CASE WHEN n.state IS NULL THEN n.pending END,
            CASE WHEN n.state IS NULL THEN n.undecided END,
            CASE WHEN n.state IS NULL THEN n.any_of_state END
        )) FROM baton.workflow_nodes n
    ),
    'jobs', (
        SELECT json_object_agg(j.id, json_build_array(
            j.state, j.attempt, j.max_attempts,
            j.scheduled_at <= timezone('UTC', clock_timestamp()),
            CASE WHEN j.state = 'executing' THEN j.attempted_by[2] END,
            jsonb_array_length(j.errors),
            (SELECT count(*) FROM jsonb_path_query(j.errors, '$[*] ? (@.rescued == true)')),
            coalesce((j.args ->> 'given')::integer, 0)
        )) FROM baton.oban_jobs j
    ),
    'history', (
        SELECT json_object_agg(h.job_id, h.rows)
        FROM (
            SELECT h.job_id, json_agg(json_build_array(
                h.run, h.state, h.result, h.attempt, h.max_attempts
            ) ORDER BY h.id) AS rows
            FROM baton.workflow_step_history h
            GROUP BY h.job_id
        ) h
    ),
    'actions', (
        SELECT json_object_agg(a.workflow_id, a.rows)
        FROM (
            SELECT a.workflow_id, json_agg(
                json_build_array(a.action, a.run, a.step) ORDER BY a.id
            ) AS rows
            FROM baton.baton_actions a
            GROUP BY a.workflow_id
        ) a
    ),
    'deadlines', (
        SELECT json_object_agg(d.workflow_id, d.deadline <= clock_timestamp())
        FROM baton.workflow_deadlines d
    ),
    'groups', (
        SELECT json_object_agg(g.job_id || '/' || g.replay_key, json_build_array(
            g.status,
            (
                SELECT coalesce(
                    json_object_agg(m.name, coalesce(e.payload, to_jsonb(m.state))), '{}'
                )
                FROM baton.workflow_wait_members m
                LEFT JOIN baton.workflow_events e ON e.id = m.event_id
                WHERE m.group_id = g.id
            ),
            g.status = 'pending' AND coalesce(g.deadline <= clock_timestamp(), false),
            coalesce(g.wake_at <= clock_timestamp(), false)
        )) FROM baton.workflow_wait_groups g
    ),
    'events', (
        SELECT json_object_agg(e.payload::text, json_build_array(
            e.name, e.workflow_id, e.correlation_key, e.dedupe_id, e.state,
            CASE WHEN e.workflow_id IS NOT NULL OR e.state = 'taken' THEN (
                SELECT g.job_id || '/' || g.replay_key
                FROM baton.workflow_wait_groups g WHERE g.id = e.group_id
            ) END,
            e.receivers, e.duplicates
        )) FROM baton.workflow_events e
    ),
    'illegal', (
        SELECT json_object_agg(j.id, j)
        FROM baton.oban_jobs j
        WHERE (j.state = 'completed' AND j.completed_at IS NULL)
        OR (j.state = 'cancelled' AND j.cancelled_at IS NULL)
        OR (j.state = 'discarded' AND j.discarded_at IS NULL)
        OR (j.state = 'executing' AND (
            j.attempted_at IS NULL OR cardinality(j.attempted_by) < 2 OR j.attempt = 0
        ))
        OR (j.state IN ('available', 'retryable') AND j.attempt >= j.max_attempts)
        OR EXISTS (
            SELECT FROM jsonb_array_elements(j.errors) e (entry)
            WHERE NOT e.entry ?& ARRAY['attempt', 'at', 'error']
        )
    )
)::text
"""
"""Numbers of events are their payloads."""


async def read(connection: asyncpg.Connection[Any]) -> Dump:
    """The tables."""
    text = await connection.fetchval(QUERY)
    found: Dump = json.loads(text, object_pairs_hook=_each_once)
    return {name: rows or {} for name, rows in found.items()}


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What stands under one key twice would be seen once."""
    found = dict(pairs)
    assert len(found) == len(pairs), f"twice in the tables: {pairs}"
    return found


def expected(model: Model, names: dict[int, str], engines: dict[int, str]) -> Dump:
    """The model, under the ids that its workflows and workers have in the tables."""
    return {
        "workflows": {names[n]: _workflow(w) for n, w in model.workflows.items()},
        "completions": {
            f"{names[n]}/{run}": completion
            for n, w in model.workflows.items()
            for run, completion in w.completions.items()
        },
        "announcements": {names[n]: count for n, count in model.announcements.items()},
        "nodes": {str(step.id): _node(step, names) for step in model.steps},
        "jobs": {str(step.id): _job(step, engines) for step in model.steps if step.job},
        "history": {str(step.id): step.history for step in model.steps if step.history},
        "actions": {names[n]: w.actions for n, w in model.workflows.items() if w.actions},
        "deadlines": {
            names[n]: w.overdue is not None for n, w in model.workflows.items() if w.deadline
        },
        "groups": {group.id: _group(group) for group in model.groups},
        "events": {str(event.number): _event(event, names) for event in model.events},
        "illegal": {},
    }


def alike(dump: Dump, model: Model) -> Dump:
    """The tables without what does not matter: how much a step that runs waits for, and how its
    alternatives stand, though it is to be cancelled or skipped.
    """
    for step in model.steps:
        node = dump["nodes"].get(str(step.id))
        passed_by = step.settled is None and (step.doomed or step.unneeded)
        if node is not None and passed_by and node[4]:
            node[4] = step.pending
            node[6] = _counts(step)[2]
    return dump


def differences(found: Dump, wanted: Dump) -> list[str]:
    """Every row that is not as it must be."""
    return [
        f"{table} {key}: found {found[table].get(key)}, expected {rows}"
        for table in wanted
        for key in sorted({*found[table], *wanted[table]})
        if found[table].get(key) != (rows := wanted[table].get(key))
    ]


def _workflow(workflow: Workflow) -> list[Any]:
    left = workflow.outstanding
    failed, skipped = len(workflow.failed), len(workflow.skipped)
    ended = left == 0
    return [len(workflow.steps), left, failed, skipped, ended, workflow.run, workflow.paused]


def _node(step: Step, names: dict[int, str]) -> list[Any]:
    return [
        names[step.workflow.number],
        step.new.name,
        step.settled,
        step.result,
        *_counts(step),
    ]


def _counts(step: Step) -> list[Any]:
    """What matters until it settles."""
    if step.settled is not None:
        return [None, None, None]
    stands = {MET: "completed", SKIPPED: "skipped", OPEN: None, DOOMS: "cancelled"}
    return [
        step.pending,
        step.undecided,
        stands[step.alternatives()] if step.any_of else None,
    ]


def _job(step: Step, engines: dict[int, str]) -> list[Any]:
    job = step.job
    assert job is not None
    holder = engines.get(job.holder or 0) if job.state == "executing" else None
    return [
        job.state,
        job.attempt,
        job.max_attempts,
        job.due,
        holder,
        job.errors,
        job.rescues,
        job.given,
    ]


def _group(group: Group) -> list[Any]:
    members: dict[str, Any] = dict.fromkeys(group.wait.names, "waiting" if group.open else "missed")
    members.update({name: event.number for name, event in group.received.items()})
    pending = group.status == "pending"
    return [group.status, members, pending and group.cutoff is not None, group.due is not None]


def _event(event: Event, names: dict[int, str]) -> list[Any]:
    return [
        event.name,
        None if event.workflow is None else names[event.workflow],
        event.key,
        event.dedupe_id,
        event.state,
        event.taken_by,
        event.receivers,
        event.duplicates,
    ]


def ill_rested(model: Model) -> list[str]:
    """What is wrong when nothing more can happen: I1, I4, I5."""
    found: list[str] = []
    for number, workflow in model.workflows.items():
        if workflow.outstanding or not workflow.announced:
            left = [(s.new.name, s.state, s.pending) for s in workflow.steps if s.settled is None]
            found.append(f"workflow {number} has not ended: {left}")
        for step in workflow.steps:
            if step.settled == "completed" and step.result is None:
                found.append(f"step {step.id} completed without a result")
            if step.state not in (None, *TERMINAL):
                found.append(f"the job of step {step.id} is {step.state} in the end")
    return found
