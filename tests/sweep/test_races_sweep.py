"""Two sweepers that are forced to work at the same moment, and sweeps that are cut off."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest

from baton import Baton, Plugin, Step, worker
from baton.settling import announce
from baton.store.database import database_of
from baton.store.settlement import Settlement
from baton.store.store import Store
from baton.words.events import SweepFinished, WorkflowFailed, WorkflowFinished
from races import naive
from races.arena import Arena, Workflow, arena, heard, join, settle
from races.checking import told
from support.race import race
from support.running import recorded

ROUNDS = 300


@worker
async def noop(step: Step) -> None:
    """Never performed."""


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


def chain() -> Baton:
    return Baton().add("a", noop.new()).add("b", noop.new(), deps=["a"])


UNANNOUNCED = """
WITH nodes AS (
    UPDATE baton.workflow_nodes SET state = 'discarded', pending = 0
    WHERE workflow_id = ANY ($1::uuid[]) RETURNING job_id
), jobs AS (
    UPDATE baton.oban_jobs SET state = 'discarded' WHERE id IN (SELECT job_id FROM nodes)
)
UPDATE baton.workflows SET outstanding = 0, failed = 2, finished_at = now()
WHERE id = ANY ($1::uuid[])
"""
DISCARDED = "UPDATE baton.oban_jobs SET state = 'discarded' WHERE id = ANY ($1::bigint[])"
LOCK = "SELECT FROM baton.workflows WHERE id = $1 FOR UPDATE"


async def broken(ring: Arena) -> tuple[Workflow, Workflow]:
    """A workflow that nobody announced, and one that nobody settled."""
    unannounced, unsettled = await ring.insert(chain(), chain())
    await ring.monitor.execute(UNANNOUNCED, [unannounced.id])
    await ring.monitor.execute(DISCARDED, [unsettled["a"]])
    return unannounced, unsettled


async def sweep(database: Store) -> None:
    await Plugin().sweep(database_of(database))


async def test_two_sweepers_at_once(ring: Arena, dsn: str) -> None:
    """In some rounds both have looked before either writes: they wait behind a third's lock."""
    ids = []
    async with heard(dsn) as notified:
        with recorded() as events:
            for number in range(ROUNDS):
                found = [workflow.id for workflow in await broken(ring)]
                ids += found
                if number % 3:
                    await ring.together(sweep, sweep)
                    continue
                async with race(dsn) as held:
                    await held.winner.execute(LOCK, found[number % 2])
                    both = [await held.behind(sweep(side)) for side in (ring.left, ring.right)]
                    await held.rollback()
                    await asyncio.gather(*both)
    assert {event.failed for event in events.of(SweepFinished)} == {()}
    finished = Counter(event.workflow_id for event in events.of(WorkflowFinished))
    failed = Counter(event.workflow_id for event in events.of(WorkflowFailed))
    assert finished == failed == dict.fromkeys(ids, 1)
    assert Counter(notified) == {str(workflow_id): 1 for workflow_id in ids}
    assert await ring.violations() == []


COMPLETED = """
UPDATE baton.oban_jobs SET state = 'completed', completed_at = now() - interval '1 day'
WHERE id = ANY ($1::bigint[])
"""


async def test_a_sweep_waits_for_the_settlement_of_a_sibling(ring: Arena) -> None:
    """What it then reads is what releases the step that waits for both."""
    (workflow,) = await ring.insert(join())
    await ring.claim()
    await ring.monitor.execute(COMPLETED, [workflow["p1"]])
    race = await ring.in_order(partial(settle, outcomes=ring.done(workflow["p2"])), sweep)
    assert race.waited
    assert (await ring.facts(workflow["d"]))[:4] == ("available", 0, None, 0)
    assert await ring.violations() == []


async def test_a_job_retried_behind_the_sweeps_back_is_left_alone(ring: Arena, dsn: str) -> None:
    """The sweep has seen it discarded, and waits for the workflow meanwhile."""
    (workflow,) = await ring.insert(chain())
    await ring.monitor.execute(DISCARDED, [workflow["a"]])
    async with race(dsn) as held:
        await held.winner.execute(LOCK, workflow.id)
        sweeping = await held.behind(sweep(ring.right))
        await ring.monitor.execute(
            "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", workflow["a"]
        )
        await held.rollback()
        await sweeping
    assert (await ring.facts(workflow["a"]))[:3] == ("available", 0, None)
    assert (await ring.facts(workflow["b"]))[:4] == ("suspended", 0, None, 1)


async def test_naive_sweepers_announce_twice(ring: Arena) -> None:
    """With NOT EXISTS, and with a look before the write, both announce."""
    await ring.monitor.execute("CREATE TABLE public.told (workflow_id uuid)")
    for tell in (naive.tell_unless_told, naive.look_then_tell):
        (workflow,) = await ring.insert(chain())
        both = partial(tell, workflow_id=workflow.id)
        assert await ring.in_order(both, both) == (True, True, False)


class DiedError(BaseException):
    """The process is gone: nothing after this happens."""


async def test_a_host_that_dies_anywhere_is_made_up_for(
    ring: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last settlement is cut off before each of its statements, and after its commit before
    anybody was told. One sweep later the workflow has ended, and was announced once.
    """
    fetch, left = Settlement._fetch, 0
    committed: list[bool] = []

    async def cut(settlement: Settlement, query: str, *args: object) -> list[asyncpg.Record]:
        nonlocal left
        if left == 0:
            raise DiedError
        left -= 1
        return await fetch(settlement, query, *args)

    def silent(*_: object) -> None:
        committed.append(True)
        raise DiedError

    statements = 0
    while not committed:
        (workflow,) = await ring.insert(chain())
        left = statements
        with monkeypatch.context() as patched:
            patched.setattr(Settlement, "_fetch", cut)
            patched.setattr(announce, "emit_cancelled_steps", silent)
            with pytest.raises(DiedError):
                await told(ring.left, workflow["a"], "discarded")
        assert bool(committed) is (workflow.id in await ring.completions())
        await ring.monitor.execute(DISCARDED, [workflow["a"]])
        with recorded() as events:
            await sweep(ring.right)
            await sweep(ring.left)
        ended = [event.workflow_id for event in events.of(WorkflowFinished)]
        assert ended == ([] if committed else [workflow.id])
        assert (await ring.completions())[workflow.id] == "failed"
        statements += 1
    assert statements > 6
    assert await ring.violations() == []
