"""With 100,000 waits pending, what sending, arming and expiring read stays what it was with one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from baton import Baton, EngineSettings, send_event
from baton.core.outcome import Ending, outcome
from baton.insights import Insights
from baton.settling.suspend import suspend
from baton.store.due import next_open_event, next_wait
from baton.store.waits import read_waits
from baton.waits.control import cancel_wait
from baton.waits.expire import expire_waits
from baton.waits.spread import hand_out
from baton.words.rows import NewWait
from races.arena import Arena, Workflow, arena, noop, settle
from settling.test_plans import TABLES, Site
from support.inserting import Client

PENDING = 100_000
WARM = 4
LIMIT = 400
WAIT_TABLES = ("workflow_wait_groups", "workflow_wait_members", "workflow_events", "workflow_memos")

_LOAD = """
WITH ids AS (SELECT gen_random_uuid() AS id, g FROM generate_series(1, $1::integer) AS g),
jobs AS (
    INSERT INTO baton.oban_jobs (state, queue, worker, meta)
    SELECT 'suspended', 'baton_waits', 'baton.wait', jsonb_build_object('workflow_id', i.id)
    FROM ids i
    RETURNING id, (meta ->> 'workflow_id')::uuid AS workflow_id
),
nodes AS (
    INSERT INTO baton.workflow_nodes (job_id, workflow_id, name, pending, waits)
    SELECT j.id, j.workflow_id, 'gate', 1, true FROM jobs j
),
workflows AS (
    INSERT INTO baton.workflows (id, steps, outstanding) SELECT i.id, 1, 1 FROM ids i
),
groups AS (
    INSERT INTO baton.workflow_wait_groups (
        workflow_id, job_id, replay_key, wait_step, names, need, timeout, on_timeout,
        correlation_key, status,
        armed_at, deadline, wake_at
    )
    SELECT j.workflow_id, j.id, '', true, '{x,y}', 2, 3600, 'result', 'other' || j.id % 100,
        'pending', now(), now() + interval '1 hour', now() + interval '1 hour'
    FROM jobs j
    RETURNING id, workflow_id, correlation_key
),
members AS (
    INSERT INTO baton.workflow_wait_members (group_id, name, workflow_id, correlation_key)
    SELECT g.id, n, g.workflow_id, g.correlation_key FROM groups g, unnest(ARRAY['x', 'y']) AS n
)
INSERT INTO baton.workflow_events (workflow_id, correlation_key, name, payload, state)
SELECT i.id, NULL, 'z', '1'::jsonb, 'kept' FROM ids i
UNION ALL
SELECT NULL, 'key' || i.g, 'x', '1'::jsonb, 'kept' FROM ids i
"""

Prepared = Callable[[], Awaitable[object]]


def client(ring: Arena) -> Client:
    return Client(ring.right, EngineSettings())


async def gated(ring: Arena, **options: object) -> Workflow:
    baton = Baton().add("a", noop.new())
    baton.wait("g", all_of=["x", "y"], deps=["a"], **options)  # type: ignore[arg-type]
    (workflow,) = await ring.insert(baton)
    await ring.claim()
    return workflow


async def armed(ring: Arena, **options: object) -> Workflow:
    workflow = await gated(ring, **options)
    await settle(ring.left, ring.done(workflow["a"]))
    return workflow


async def arm(ring: Arena) -> Prepared:
    workflow = await gated(ring, timeout=60, correlation_key="k")
    return lambda: settle(ring.right, ring.done(workflow["a"]), notify=True)


async def sleep(ring: Arena) -> Prepared:
    (workflow,) = await ring.insert(Baton().add("s", noop.new()))
    await ring.claim()
    ended = outcome(ring.claims[workflow["s"]], Ending.SUSPENDED)
    wait = NewWait(("x", "y"), 2, replay_key="#1", timeout=60, correlation_key="k")
    return lambda: suspend(ring.right, [ended._replace(wait=wait)], notify=True)


async def send(ring: Arena) -> Prepared:
    workflow = await armed(ring)
    return lambda: send_event(workflow.id, "x", dedupe_id="d", engine=client(ring))


async def send_the_last(ring: Arena) -> Prepared:
    workflow = await armed(ring)
    await send_event(workflow.id, "x", engine=Client(ring.left, EngineSettings()))
    return lambda: send_event(workflow.id, "y", engine=client(ring))


async def keep(ring: Arena) -> Prepared:
    workflow = await gated(ring)
    return lambda: send_event(workflow.id, "x", engine=client(ring))


async def send_by_a_key(ring: Arena) -> Prepared:
    key = f"mine {uuid4()}"
    await armed(ring, correlation_key=key)
    return lambda: send_event(None, "x", correlation_key=key, dedupe_id="d", engine=client(ring))


async def expire(ring: Arena) -> Prepared:
    await armed(ring, timeout=3600)
    await ring.monitor.execute(
        "UPDATE baton.workflow_wait_groups SET deadline = now() - interval '1 s',"
        " wake_at = now() - interval '1 s' WHERE id = (SELECT max(id) FROM"
        " baton.workflow_wait_groups)"
    )
    return lambda: expire_waits(ring.right, EngineSettings())


async def look(ring: Arena) -> Prepared:
    return lambda: next_wait(ring.right)


async def look_for_events(ring: Arena) -> Prepared:
    return lambda: next_open_event(ring.right)


async def hand_out_one(ring: Arena) -> Prepared:
    """Its sender died after it had recorded it."""
    key = f"left {uuid4()}"
    await armed(ring, correlation_key=key)
    await ring.monitor.execute(
        "SELECT baton.baton_send_key($1, 'x', '1', NULL, '[]', '-1', false, NULL)", key
    )
    return lambda: hand_out(ring.right, EngineSettings())


async def look_again(ring: Arena) -> Prepared:
    """A wait with a key that asked for another look into an empty mailbox."""
    await armed(ring, correlation_key=f"empty {uuid4()}")
    await ring.monitor.execute(
        "UPDATE baton.workflow_wait_groups SET wake_at = now() WHERE id = (SELECT max(id) FROM"
        " baton.workflow_wait_groups)"
    )
    return lambda: expire_waits(ring.right, EngineSettings())


async def list_some(ring: Arena) -> Prepared:
    return lambda: Insights(client(ring).database).waiting_steps(limit=20)


async def list_one(ring: Arena) -> Prepared:
    workflow = await armed(ring)
    return lambda: Insights(client(ring).database).waiting_steps(workflow.id)


async def cancel(ring: Arena) -> Prepared:
    workflow = await armed(ring)
    return lambda: cancel_wait(workflow.id, "g", engine=client(ring))


async def replay(ring: Arena) -> Prepared:
    workflow = await armed(ring)
    return lambda: read_waits(ring.right, workflow["g"])


WORKS = (
    arm,
    sleep,
    send,
    send_the_last,
    keep,
    send_by_a_key,
    expire,
    look,
    look_for_events,
    look_again,
    hand_out_one,
    list_some,
    list_one,
    cancel,
    replay,
)


@pytest.fixture(params=["analysed", "new"])
async def site(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """The plans are made while the tables are empty; then the tables grow."""
    tables = (*TABLES, *WAIT_TABLES)
    async with arena(dsn) as ring:
        for table in tables:
            await ring.monitor.execute(
                f"ALTER TABLE baton.{table} SET (autovacuum_enabled = false)"
            )
        for work in WORKS:
            for _ in range(WARM):
                await (await work(ring))()
        await ring.monitor.execute(_LOAD, PENDING)
        if request.param == "analysed":
            await ring.monitor.execute("ANALYZE")
        yield Site(ring, tables)


async def test_reads_stay_in_proportion(site: Site) -> None:
    found = {}
    for work in WORKS:
        for _ in range(WARM):
            found[work.__name__] = await site.reads(await work(site.ring))
    assert {name: reads for name, reads in found.items() if reads.indexed > LIMIT} == {}
    assert {name: reads for name, reads in found.items() if reads.sequential} == {}
