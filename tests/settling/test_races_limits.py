"""A claim takes no more than asked for, whatever plan the planner is driven to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from baton.store.jobs import requeue_jobs, stage_jobs
from baton.words.states import JobState
from races import naive
from races.arena import Arena, arena, roots, settle

JOBS = 300
HOSTILE = ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize")


@pytest.fixture(params=["analysed", "new"])
async def ring(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Arena]:
    """JOBS available jobs, and a planner kept from everything but plain nested loops."""
    async with arena(dsn) as calm:
        await calm.insert(roots(JOBS))
        database = await calm.monitor.fetchval("SELECT current_database()")
        for method in HOSTILE:
            await calm.monitor.execute(f'ALTER DATABASE "{database}" SET enable_{method} TO off')
        if request.param == "analysed":
            await calm.monitor.execute("ANALYZE")
    async with arena(dsn) as hostile:
        assert await hostile.monitor.fetchval("SHOW enable_hashjoin") == "off"
        yield hostile


async def counts(ring: Arena) -> dict[str, int]:
    rows = await ring.monitor.fetch("SELECT state::text, count(*) FROM baton.oban_jobs GROUP BY 1")
    return {row[0]: row[1] for row in rows}


async def test_a_claim_keeps_its_limit(ring: Arena) -> None:
    for limit in (1, 2, 7):
        assert len((await settle(ring.right, (), room=limit)).jobs) == limit
    assert await counts(ring) == {"available": JOBS - 10, "executing": 10}


async def test_staging_keeps_its_limit(ring: Arena) -> None:
    await ring.claim()
    due = [ring.ended(job_id, JobState.RETRYABLE, error="", delay=0.0) for job_id in ring.claims]
    assert len(await requeue_jobs(ring.right, due, notify=False)) == JOBS
    for limit in (1, 2, 7):
        assert await stage_jobs(ring.right, limit, notify=False) == {"default": limit}
    assert await counts(ring) == {"available": 10, "retryable": JOBS - 10}


async def test_in_with_a_limit_claims_more(ring: Arena) -> None:
    assert len(await naive.claim_in_limit(ring.right, 1)) > 1
