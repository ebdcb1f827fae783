"""One sample of a database: connections, locks, dead tuples, sizes, how soon jobs are claimed."""

from __future__ import annotations

from statistics import quantiles
from typing import Any

import asyncpg

_RELATIONS = """
SELECT c.relname AS name, c.relkind = 'i' AS index, pg_total_relation_size(c.oid)::float8 AS bytes
FROM pg_class c
WHERE c.relnamespace = 'baton'::regnamespace AND c.relkind IN ('r', 'i')
"""

_FIGURES = """
SELECT
    (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
     WHERE d.datname = current_database() AND l.pid <> pg_backend_pid())::float8 AS locks,
    (SELECT count(*) FROM pg_locks WHERE NOT granted)::float8 AS "locks waited for",
    (SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables)::float8 AS "dead tuples",
    (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
     AND application_name LIKE 'baton%')::float8 AS connections,
    pg_notification_queue_usage()::float8 AS "notification queue",
    coalesce((SELECT max(age(backend_xmin)) FROM pg_stat_activity
     WHERE datname = current_database()), 0)::float8 AS "oldest xmin age"
"""

_STATES = """
SELECT coalesce(state, 'none') AS state, count(*)::float8 AS count FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'baton%' GROUP BY 1
"""

# Of roots that ended since the last sample, at their first attempt. A snooze counts as none.
_CLAIMS = """
SELECT extract(epoch FROM j.attempted_at - j.scheduled_at)::float8 AS seconds
FROM baton.oban_jobs j
JOIN baton.workflow_nodes n ON n.job_id = j.id
WHERE j.attempt = 1 AND j.state = 'completed' AND n.deps = '{}' AND NOT n.waits
AND j.worker = 'soak.plain'
AND j.completed_at > timezone('UTC', now()) - make_interval(secs => $1)
"""


async def sample(connection: asyncpg.Connection[Any], window: float) -> dict[str, float]:
    """Figures by series; those of claims over the last `window` seconds."""
    (row,) = await connection.fetch(_FIGURES)
    found: dict[str, float] = dict(row)
    for row in await connection.fetch(_STATES):
        found[f"connections {row['state']}"] = row["count"]
    for row in await connection.fetch(_RELATIONS):
        found[f"{'index' if row['index'] else 'table'} {row['name']}"] = row["bytes"]
    claims = [row["seconds"] for row in await connection.fetch(_CLAIMS, window)]
    return found | percentiles("claim", claims)


def percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    """p50 and p99, nothing where there are no values."""
    if not seconds:
        return {}
    cuts = quantiles(seconds * 2, n=100) if len(seconds) < 2 else quantiles(seconds, n=100)
    return {f"{name} p50": cuts[49], f"{name} p99": min(cuts[98], max(seconds))}


async def autovacuum(connection: asyncpg.Connection[Any]) -> dict[str, str]:
    """What the server's autovacuum is set to, and the tables that differ."""
    rows = await connection.fetch(
        "SELECT name, setting || coalesce(unit, '') AS setting FROM pg_settings"
        " WHERE name LIKE 'autovacuum%' UNION ALL"
        " SELECT relname, reloptions::text FROM pg_class WHERE reloptions IS NOT NULL"
        " AND relnamespace = 'baton'::regnamespace AND relkind = 'r'"
    )
    return {row["name"]: row["setting"] for row in rows}
