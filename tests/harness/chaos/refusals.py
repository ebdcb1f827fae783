"""An application's trigger that refuses single writes: some rows, some changes, any SQLSTATE.

Each job that is inserted may be marked: one change of its state, or of its step's, is then refused
until a moment that was drawn, with an SQLSTATE that was drawn. What belongs to the workflow of a
marked job is guilty, all else is innocent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from two_engines.fault import Fault, Kind

CODES = (
    *("P0001", "P0003", "AB123", "2F003", "38001", "39000", "44000", "0A000", "0L000", "21000"),
    *("22003", "22P02", "22P05", "23502", "23505", "23514", "25001", "40001", "40P01", "42501"),
    *("42601", "42703", "42883", "42P01", "54000", "54001", "55000", "55P03", "57014", "F0000"),
    *("HV000", "XX000", "XX001"),
)
"""What may be raised for one row. What tells that the server is away, such as 57P01, may not: who
raises it for one row ends the work of all, as the server does.
"""
STATES = ("available", "executing", "completed", "cancelled", "discarded", "retryable", "scheduled")
LATEST = 5.0
"""Seconds by which an innocent step may be late."""
LOG_INTERVAL = timedelta(seconds=59)

_TABLES = """
CREATE TABLE public.refusals (
    job_id bigint PRIMARY KEY, workflow_id uuid NOT NULL, node boolean NOT NULL,
    state text NOT NULL, code text NOT NULL, until timestamptz NOT NULL
);
-- A sequence keeps its count when the transaction is rolled back.
CREATE SEQUENCE public.struck;
"""
_TRIGGERS = """
CREATE FUNCTION public.mark() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog AS $mark$
BEGIN
    IF random() < {share} AND NEW.meta ? 'workflow_id' THEN
        INSERT INTO public.refusals
        SELECT
            NEW.id, (NEW.meta ->> 'workflow_id')::uuid, random() < 0.3,
            ('{states}'::text[])[1 + floor(random() * {state_count})],
            ('{codes}'::text[])[1 + floor(random() * {code_count})],
            clock_timestamp() + make_interval(secs => 1 + random() * {seconds});
    END IF;
    RETURN NEW;
END
$mark$;
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog AS $refuse$
DECLARE
    v_code text;
BEGIN
    SELECT r.code INTO v_code
    FROM public.refusals r
    WHERE r.job_id = (to_jsonb(NEW) ->> TG_ARGV[0])::bigint
    AND r.node = (TG_ARGV[0] = 'job_id')
    AND (r.node OR r.state = to_jsonb(NEW) ->> 'state')
    AND r.until > clock_timestamp();
    IF FOUND THEN
        PERFORM nextval('public.struck');
        RAISE EXCEPTION 'this % is refused today', TG_TABLE_NAME USING ERRCODE = v_code;
    END IF;
    RETURN NEW;
END
$refuse$;
CREATE TRIGGER mark AFTER INSERT ON baton.oban_jobs FOR EACH ROW EXECUTE FUNCTION public.mark();
CREATE TRIGGER refuse AFTER UPDATE ON baton.oban_jobs
FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION public.refuse('id');
CREATE TRIGGER refuse AFTER UPDATE ON baton.workflow_nodes
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION public.refuse('job_id');
"""

_GUILTY = "SELECT DISTINCT workflow_id FROM public.refusals"
_STRUCK = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.struck"

# From the moment in which a step could run to its last claim, and from its last end to the moment
# of the settlement that was accepted.
_DELAYS = """
WITH ended AS (
    SELECT j.id, coalesce(j.completed_at, j.cancelled_at, j.discarded_at) AS at
    FROM baton.oban_jobs j
),
delays AS (
    SELECT
        n.workflow_id, n.name, j.id,
        extract(epoch FROM j.attempted_at - greatest(
            j.scheduled_at,
            (SELECT max(e.at) FROM ended e WHERE e.id = ANY (n.deps)),
            (
                SELECT max(timezone('UTC', g.settled_at))
                FROM baton.workflow_wait_groups g
                WHERE g.job_id = j.id
            )
        ))::float8 AS claim,
        extract(epoch FROM (SELECT e.at FROM ended e WHERE e.id = j.id) - (
            SELECT max(timezone('UTC', l.at)) FROM public.ledger l
            WHERE l.job_id = j.id AND l.mark = 'end'
        ))::float8 AS settle
    FROM baton.workflow_nodes n
    JOIN baton.oban_jobs j ON j.id = n.job_id
    WHERE n.workflow_id <> ALL (ARRAY(SELECT workflow_id FROM public.refusals))
    AND NOT EXISTS (
        SELECT FROM baton.workflow_wait_groups g WHERE g.job_id = j.id AND g.wait_step
    )
)
SELECT workflow_id, name, id, greatest(claim, settle) AS delay, claim, settle
FROM delays
WHERE greatest(claim, settle) IS NOT NULL
ORDER BY greatest(claim, settle) DESC
"""

_LINE = re.compile(r"^(\S+ \S+) (\d+) ERROR (.*?\bjob (\d+)\b)(.*)")


async def create(dsn: str, share: float, seconds: float) -> None:
    """Mark this share of the jobs that are inserted, each for at most so long."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_TABLES)
        if share:
            await connection.execute(
                _TRIGGERS.format(
                    share=share,
                    seconds=seconds,
                    states="{" + ",".join(STATES) + "}",
                    state_count=len(STATES),
                    codes="{" + ",".join(CODES) + "}",
                    code_count=len(CODES),
                )
            )
    finally:
        await connection.close()


async def guilty_workflows(connection: asyncpg.Connection[Any]) -> frozenset[UUID]:
    return frozenset(row[0] for row in await connection.fetch(_GUILTY))


async def struck(connection: asyncpg.Connection[Any]) -> int:
    """How many writes were refused."""
    found: int = await connection.fetchval(_STRUCK)
    return found


async def delays(connection: asyncpg.Connection[Any]) -> tuple[float, list[Fault]]:
    """The longest delay of an innocent step, and those that are too long."""
    rows = await connection.fetch(_DELAYS)
    late = [row for row in rows if row["delay"] > LATEST]
    found = [
        Fault(
            Kind.DELAYED,
            f"{row['workflow_id']} {row['name']}, job {row['id']}: claimed after"
            f" {row['claim'] or 0.0:.1f} s, settled after {row['settle'] or 0.0:.1f} s",
        )
        for row in late
    ]
    return (rows[0]["delay"] if rows else 0.0), found


async def log_faults(connection: asyncpg.Connection[Any], folder: Path) -> tuple[int, list[Fault]]:
    """How many jobs were named as refused, and what is wrong with that: an innocent one is named,
    or one more than once a minute by the same process for the same reason.
    """
    rows = await connection.fetch(
        "SELECT n.job_id FROM baton.workflow_nodes n JOIN public.refusals r USING (workflow_id)"
    )
    guilty = {row[0] for row in rows}
    named, last = set[int](), dict[tuple[str, str], datetime]()
    innocent, often = Counter[int](), Counter[str]()
    for line in _lines(folder / "log"):
        at, process, what, job, _ = line
        moment = datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007 only differences
        if int(job) not in guilty:
            innocent[int(job)] += 1
        named.add(int(job))
        before = last.get((process, what))
        if before is not None and moment - before < LOG_INTERVAL:
            often[f"{process}: {what}"] += 1
        last[process, what] = moment
    found = [
        Fault(Kind.LOGS, f"innocent job {job} is named {n} times") for job, n in innocent.items()
    ]
    found += [Fault(Kind.LOGS, f"logged {n} times too often: {what}") for what, n in often.items()]
    return len(named), found


def _lines(log: Path) -> Sequence[tuple[str, ...]]:
    text = log.read_text(errors="replace") if log.exists() else ""
    return [match.groups() for line in text.splitlines() if (match := _LINE.match(line))]
