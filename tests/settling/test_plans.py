"""What the statements read stays in proportion to what they do, however large the tables are.

Tables that were analysed, and tables that were empty when the plans were made and have grown since:
the second is what happens to every new installation, until its first autovacuum.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest

from baton.runs.actions import Told
from baton.runs.cancel import cancel_workflow
from baton.runs.complete import complete_step
from baton.runs.pause import pause_workflow, resume_workflow
from baton.settling.settle_failures import hold, settle_failures
from baton.store.completions import find_missing_workflows, read_completions, read_unsettled_steps
from baton.store.jobs import find_lost_claims, find_orphans, requeue_jobs, stage_jobs
from baton.store.results import read_dependencies, read_own_result, read_result, read_results
from baton.store.statistics import read_captures, read_usage, record_captures, record_usage
from baton.words.rows import CaptureRecord, Outcome, UsageRecord
from baton.words.states import JobState
from races.arena import Arena, Workflow, arena, diamond, settle

FINISHED = 50_000
WARM = 8

# Those of the jobs that execute, which the search for orphans goes through, are the most.
LIMIT = 500
TABLES = (
    "oban_jobs",
    "workflow_nodes",
    "workflows",
    "workflow_completions",
    "baton_engines",
    "workflow_step_stats",
    "workflow_debug_logs",
)

_LOAD = """
WITH ids AS (SELECT gen_random_uuid() AS id, g FROM generate_series(1, $1::integer / 4) AS g),
jobs AS (
    INSERT INTO baton.oban_jobs (
        state, queue, worker, attempt, attempted_at, attempted_by, completed_at, meta
    )
    SELECT 'completed', 'default', 'w', 1, timezone('UTC', now()), '{n,e,baton}',
        timezone('UTC', now()), jsonb_build_object('workflow_id', i.id, 'workflow_name', s)
    FROM ids i, generate_series(1, 4) AS s
    RETURNING id, (meta ->> 'workflow_id')::uuid AS workflow_id, meta ->> 'workflow_name' AS name
),
nodes AS (
    INSERT INTO baton.workflow_nodes (job_id, workflow_id, name, state, result)
    SELECT j.id, j.workflow_id, j.name, 'completed', '{"value":1}' FROM jobs j
),
stats AS (
    INSERT INTO baton.workflow_step_stats (
        id, workflow_id, job_id, attempt, model, input_tokens, output_tokens, cache_read_tokens,
        cache_write_tokens
    )
    SELECT gen_random_uuid(), j.workflow_id, j.id, 1, 'm', 1, 0, 0, 0 FROM jobs j
),
logs AS (
    INSERT INTO baton.workflow_debug_logs (
        id, workflow_id, job_id, step, attempt, label, content, recorded_at
    )
    SELECT gen_random_uuid(), j.workflow_id, j.id, j.name, 1, 'x', '1', now() - interval '1 day'
    FROM jobs j
),
workflows AS (
    INSERT INTO baton.workflows (id, steps, outstanding, finished_at)
    SELECT i.id, 4, 0, now() FROM ids i
)
INSERT INTO baton.workflow_completions
SELECT i.id, 1, NULL, 'completed', '{}', '{}', 0, 4, now(), now() FROM ids i
"""

# Live rows that are not what is asked for: another queue, not due, waiting.
_BYSTANDERS = """
INSERT INTO baton.oban_jobs (state, queue, worker, scheduled_at)
SELECT s.state::baton.oban_job_state, 'other', 'w', timezone('UTC', now()) + s.due
FROM generate_series(1, 3000), (VALUES
    ('available', interval '0'), ('suspended', interval '0'), ('scheduled', interval '1 hour')
) AS s (state, due)
"""


class Reads(NamedTuple):
    """Rows read, by sequential scans and through indexes."""

    sequential: int
    indexed: int


class Site:
    """An arena whose right side is measured."""

    def __init__(self, ring: Arena, tables: Sequence[str] = TABLES) -> None:
        self.ring = ring
        self._tables = tables

    async def _read(self) -> Reads:
        async with self.ring.right.connection() as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
        row = await self.ring.monitor.fetchrow(
            "SELECT sum(t.seq_tup_read)::bigint, sum(i.read)::bigint"
            " FROM pg_stat_user_tables t CROSS JOIN LATERAL ("
            " SELECT sum(x.idx_tup_read) FROM pg_stat_user_indexes x WHERE x.relid = t.relid"
            ") AS i (read) WHERE t.relname = ANY ($1::text[])",
            self._tables,
        )
        assert row is not None
        return Reads(row[0], row[1])

    async def reads(self, work: Callable[[], Awaitable[object]]) -> Reads:
        """What a piece of work reads on the right side."""
        before = await self._read()
        await work()
        after = await self._read()
        return Reads(after.sequential - before.sequential, after.indexed - before.indexed)


Prepared = Callable[[], Awaitable[object]]


async def claimed(ring: Arena) -> Workflow:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    return workflow


async def complete(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    return lambda: settle(ring.right, ring.done(workflow["a"]), room=5)


async def complete_last(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    for names in (["a"], ["b1", "b2"]):
        await settle(ring.left, ring.done(*(workflow[name] for name in names)))
        await ring.claim()
    return lambda: settle(ring.right, ring.done(workflow["d"]), notify=True)


async def claim(ring: Arena) -> Prepared:
    await ring.insert(diamond(), diamond())
    return lambda: settle(ring.right, (), room=2)


async def claim_nothing(ring: Arena) -> Prepared:
    await ring.claim()
    return lambda: settle(ring.right, (), room=100)


async def ended(ring: Arena, state: JobState, **fields: float) -> list[Outcome]:
    workflow = await claimed(ring)
    return [ring.ended(workflow["a"], state, **fields)]


async def fail(ring: Arena) -> Prepared:
    outcomes = await ended(ring, JobState.DISCARDED)
    return lambda: settle_failures(ring.right, outcomes, notify=True)


async def put_to_sleep(ring: Arena) -> Prepared:
    outcomes = await ended(ring, JobState.SUSPENDED)
    return lambda: hold(ring.right, outcomes, notify=True)


async def retry(ring: Arena) -> Prepared:
    outcomes = await ended(ring, JobState.RETRYABLE, delay=3600.0)
    return lambda: requeue_jobs(ring.right, outcomes, notify=True)


async def stage(ring: Arena) -> Prepared:
    outcomes = await ended(ring, JobState.RETRYABLE, delay=0.0)
    await requeue_jobs(ring.left, outcomes, notify=False)
    return lambda: stage_jobs(ring.right, 5_000, notify=True)


async def cancel(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    return lambda: cancel_workflow(ring.right, workflow.id, "by request", notify=True)


async def pause(ring: Arena) -> Prepared:
    workflow = await claimed(ring)

    async def both() -> None:
        for verb in (pause_workflow, resume_workflow):
            done = await verb(ring.right, workflow.id, Told(None, None), notify=True)
            assert done.actions

    return both


async def complete_by_hand(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    await cancel_workflow(ring.left, workflow.id, "by request", notify=False)

    async def completes() -> None:
        done = await complete_step(
            ring.right, workflow.id, "a", '{"value":1}', Told(None, None), notify=True
        )
        assert done is not None
        assert done.actions[0].result == {"begun_anew": 3}

    return completes


async def rescue(ring: Arena) -> Prepared:
    await claimed(ring)
    return lambda: find_orphans(
        ring.right,
        rescue_after=60.0,
        engine=uuid4(),
        known=[],
        lost_after=60.0,
        foreign_after=60.0,
        after=0,
        limit=500,
    )


async def lose(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    job = ring.claims[workflow["a"]]
    return lambda: find_lost_claims(ring.right, [(job.id, job.attempted_at)])


async def look_for_ends(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    await cancel_workflow(ring.left, workflow.id, "by request", notify=False)
    return lambda: read_completions(ring.right, [(workflow.id, 0)])


async def look_for_workflows(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    return lambda: find_missing_workflows(ring.right, [workflow.id, UUID(int=0)])


async def look_for_unsettled(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    return lambda: read_unsettled_steps(ring.right, workflow.id, ["default"], 5)


async def read_as_a_step(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    d = workflow["d"]

    async def reads() -> None:
        await read_dependencies(ring.right, d)
        await read_result(ring.right, d, "b1")
        await read_results(ring.right, d)
        await read_own_result(ring.right, d)

    return reads


async def keep_books(ring: Arena) -> Prepared:
    workflow = await claimed(ring)
    job = ring.claims[workflow["a"]]

    async def books() -> None:
        usage = UsageRecord(uuid4(), "m", None, 1, 0, 0, 0, None, None)
        await record_usage(ring.right, job, [usage])
        await record_captures(ring.right, job, [CaptureRecord(uuid4(), "x", "1")])
        assert (await read_usage(ring.right, workflow.id)).records == 1
        assert len(await read_captures(ring.right, workflow.id, None, None, 100)) == 1

    return books


HOT = (complete, complete_last, claim, claim_nothing)
WORKS = (
    *HOT,
    fail,
    put_to_sleep,
    retry,
    stage,
    cancel,
    pause,
    complete_by_hand,
    rescue,
    lose,
    look_for_ends,
    look_for_workflows,
    look_for_unsettled,
    read_as_a_step,
    keep_books,
)


@pytest.fixture(params=["analysed", "new"])
async def site(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """The plans are made while the tables are empty; then the tables grow."""
    async with arena(dsn) as ring:
        for table in TABLES:
            await ring.monitor.execute(
                f"ALTER TABLE baton.{table} SET (autovacuum_enabled = false)"
            )
        for work in WORKS:
            for _ in range(WARM):
                await (await work(ring))()
        await ring.monitor.execute(_LOAD, FINISHED)
        await ring.monitor.execute(_BYSTANDERS)
        if request.param == "analysed":
            await ring.monitor.execute("ANALYZE")
        yield Site(ring)


async def test_reads_stay_in_proportion(site: Site) -> None:
    found: dict[str, Reads] = {}
    for work in WORKS:
        for _ in range(WARM):
            found[work.__name__] = await site.reads(await work(site.ring))
    assert {name: reads for name, reads in found.items() if max(reads) > LIMIT} == {}
    assert [found[work.__name__].sequential for work in HOT] == [0, 0, 0, 0]
