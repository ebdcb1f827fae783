"""Variants without the lock, the fence or the guard: each is a bug that other systems had.

They are written for the same tables and run in the same arena as the real code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from baton.store.store import Store
from baton.words.rows import Outcome

# The workflow's lock is missing: of two last parents, neither sees that the other has settled.
_COMPLETE = """
WITH done AS (
    UPDATE baton.oban_jobs SET state = 'completed' WHERE id = ANY ($1::bigint[])
)
UPDATE baton.workflow_nodes SET state = 'completed', result = '{"value":1}'
WHERE job_id = ANY ($1::bigint[])
"""
_RELEASE = """
UPDATE baton.oban_jobs j SET state = 'available'
FROM baton.workflow_nodes n
WHERE n.job_id = j.id AND j.state = 'suspended'
AND n.deps && $1::bigint[]
AND NOT EXISTS (
    SELECT FROM baton.workflow_nodes d WHERE d.job_id = ANY (n.deps) AND d.state IS NULL
)
RETURNING j.id
"""
_OUTSTANDING = """
SELECT count(*) FROM baton.workflow_nodes n
WHERE n.workflow_id = (SELECT o.workflow_id FROM baton.workflow_nodes o WHERE o.job_id = $1)
AND n.state IS NULL
"""
_TELL = "SELECT pg_notify('baton.baton_finished', $1)"


async def settle_without_lock(database: Store, job_ids: Sequence[int]) -> list[int]:
    """Complete, then release every dependent that has no unsettled dependency; returns those."""
    async with database.transaction() as connection:
        await connection.execute(_COMPLETE, job_ids)
        return [row[0] for row in await connection.fetch(_RELEASE, job_ids)]


async def finish_without_lock(database: Store, job_id: int) -> bool:
    """Complete, count what is left, tell if nothing is; returns whether it told."""
    async with database.transaction() as connection:
        await connection.execute(_COMPLETE, [job_id])
        if await connection.fetchval(_OUTSTANDING, job_id):
            return False
        await connection.execute(_TELL, str(job_id))
        return True


async def tell_unless_told(database: Store, workflow_id: UUID) -> bool:
    """Announce with NOT EXISTS instead of a unique row; `told` is a table without a key."""
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "INSERT INTO public.told SELECT $1::uuid"
            " WHERE NOT EXISTS (SELECT FROM public.told WHERE workflow_id = $1::uuid)"
            " RETURNING workflow_id",
            workflow_id,
        )
        return bool(rows)


async def look_then_tell(database: Store, workflow_id: UUID) -> bool:
    """Announce after a look; `told` is a table without a key."""
    async with database.transaction() as connection:
        if await connection.fetchval(
            "SELECT 1 FROM public.told WHERE workflow_id = $1", workflow_id
        ):
            return False
        await connection.execute("INSERT INTO public.told VALUES ($1)", workflow_id)
        return True


async def write_by_id(database: Store, outcome: Outcome) -> None:
    """An outcome without a fence."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE baton.oban_jobs SET state = $2::text::baton.oban_job_state WHERE id = $1",
            outcome.job_id,
            outcome.state.value,
        )


async def write_by_attempt(database: Store, outcome: Outcome) -> int:
    """An outcome fenced on the number of the attempt; returns how many rows it changed."""
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "UPDATE baton.oban_jobs SET state = $3::text::baton.oban_job_state"
            " WHERE id = $1 AND state = 'executing' AND attempt = $2 RETURNING id",
            outcome.job_id,
            outcome.attempt,
            outcome.state.value,
        )
        return len(rows)


async def claim_in_limit(database: Store, limit: int) -> list[int]:
    """`IN (SELECT … LIMIT …)`: a nested loop runs the subquery again for every row."""
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "UPDATE baton.oban_jobs SET state = 'executing', attempt = attempt + 1"
            " WHERE id IN (SELECT id FROM baton.oban_jobs WHERE state = 'available'"
            " ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id",
            limit,
        )
        return [row[0] for row in rows]


async def claim_without_lock(database: Store, limit: int) -> list[int]:
    """Look, then take: two may have looked before one took."""
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT id FROM baton.oban_jobs WHERE state = 'available' ORDER BY id LIMIT $1", limit
        )
        ids = [row[0] for row in rows]
        await connection.execute(
            "UPDATE baton.oban_jobs SET state = 'executing', attempt = attempt + 1"
            " WHERE id = ANY ($1::bigint[])",
            ids,
        )
        return ids


async def hold_without_lock(database: Store, job_id: int) -> None:
    """Put a job to sleep by what its counter says, without the workflow's lock."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE baton.oban_jobs j SET state = (CASE WHEN n.pending > 0 THEN 'suspended'"
            " ELSE 'available' END)::baton.oban_job_state, attempt = j.attempt - 1"
            " FROM baton.workflow_nodes n WHERE n.job_id = j.id AND j.id = $1",
            job_id,
        )


async def pause_by_a_mark(database: Store, workflow_id: UUID) -> None:
    """Mark the workflow as paused and put to sleep what could run, without counting."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE baton.workflows SET paused_at = now() WHERE id = $1", workflow_id
        )
        await connection.execute(
            "UPDATE baton.oban_jobs SET state = 'suspended' WHERE state = 'available'"
            " AND meta ->> 'workflow_id' = $1",
            str(workflow_id),
        )


async def complete_under_the_claim(database: Store, job_id: int) -> None:
    """Complete by hand and leave the claim as it is: the late outcome is taken for its echo."""
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE baton.oban_jobs SET state = 'completed' WHERE id = $1", job_id
        )
        await connection.execute(
            "UPDATE baton.workflow_nodes SET state = 'completed', result = '{\"value\":\"hand\"}'"
            " WHERE job_id = $1",
            job_id,
        )


async def settle_node_without_lock(database: Store, job_id: int, state: str) -> bool:
    """Look whether the step has settled, then record it; returns whether it recorded."""
    async with database.transaction() as connection:
        settled = await connection.fetchval(
            "SELECT state IS NOT NULL FROM baton.workflow_nodes WHERE job_id = $1", job_id
        )
        if settled:
            return False
        await connection.execute(
            "UPDATE baton.workflow_nodes SET state = $2::text::baton.step_state WHERE job_id = $1",
            job_id,
            state,
        )
        return True


async def lock_in_turn(
    database: Store, workflow_ids: Sequence[UUID], meet: asyncio.Barrier
) -> None:
    """Lock two workflows in the order given, meeting the other side half-way."""
    async with database.transaction() as connection:
        for workflow_id in workflow_ids:
            await connection.execute(
                "SELECT FROM baton.workflows WHERE id = $1 FOR NO KEY UPDATE", workflow_id
            )
            if workflow_id == workflow_ids[0]:
                await meet.wait()


async def stage_by_id(database: Store) -> list[int]:
    """Look for due jobs, then stage them by id."""
    async with database.transaction() as connection:
        rows = await connection.fetch(
            "SELECT id FROM baton.oban_jobs WHERE state IN ('scheduled', 'retryable')"
            " AND scheduled_at <= timezone('UTC', now())"
        )
        ids = [row[0] for row in rows]
        await connection.execute(
            "UPDATE baton.oban_jobs SET state = 'available' WHERE id = ANY ($1::bigint[])", ids
        )
        return ids
