"""Races of alternatives: two of them end at once, and the step goes on once, or ends once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from baton import Baton, JobState
from baton.settling.settle_failures import settle_failures
from baton.store.store import Store
from races.arena import ROUNDS, Arena, Workflow, arena, noop, settle

ENDS = ("completed", "cancelled", "discarded", "skipped")
PAIRS = [(first, second) for first in ENDS for second in ENDS]


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


def graph() -> Baton:
    """a and b, of which d needs one and e neither failure; f hangs on a result of both."""
    workflow = Baton().add("a", noop.new()).add("b", noop.new())
    workflow.add("d", noop.new(), any_of=["a", "b"])
    workflow.add("e", noop.new(), any_of=["a", "b"], ignore_discarded=True)
    return workflow.add(
        "f", noop.new(), deps=["a", "b"], when={"a": 1, "b": 1}, ignore_discarded=True
    )


async def end(database: Store, ring: Arena, job_id: int, ends: str) -> None:
    """Settle a claimed job, as an engine does it."""
    if ends == "completed":
        await settle(database, ring.done(job_id))
        return
    state = JobState.CANCELLED if ends == "skipped" else JobState(ends)
    outcome = ring.ended(job_id, state, error="no", skipped=ends == "skipped")
    await settle_failures(database, [outcome], notify=False)


def expected(ends: tuple[str, str], ignored: str = "") -> tuple[str, str | None]:
    """Job and settled state of a step with these alternatives."""
    if "completed" in ends or ignored in ends:
        return "available", None
    return ("cancelled", "skipped") if "skipped" in ends else ("cancelled", "cancelled")


async def check(ring: Arena, workflow: Workflow, ends: tuple[str, str]) -> None:
    for name, ignored in (("d", ""), ("e", "discarded")):
        facts = await ring.facts(workflow[name])
        assert (facts.job, facts.settled) == expected(ends, ignored), (name, ends)
    facts = await ring.facts(workflow["f"])
    if ends == ("completed", "completed"):
        assert (facts.job, facts.pending) == ("available", 0)
    else:
        assert facts.settled == ("cancelled" if "cancelled" in ends else "skipped")


@pytest.mark.parametrize("ends", PAIRS, ids=" ".join)
async def test_two_alternatives_end_at_once(ring: Arena, ends: tuple[str, str]) -> None:
    (workflow,) = await ring.insert(graph())
    await ring.claim()
    race = await ring.in_order(
        partial(end, ring=ring, job_id=workflow["a"], ends=ends[0]),
        partial(end, ring=ring, job_id=workflow["b"], ends=ends[1]),
    )
    assert race.waited
    await check(ring, workflow, ends)
    assert await ring.violations() == []


async def test_two_alternatives_end_at_once_often(ring: Arena) -> None:
    for number in range(ROUNDS):
        (workflow,) = await ring.insert(graph())
        await ring.claim()
        ends = PAIRS[number % len(PAIRS)]
        await ring.together(
            partial(end, ring=ring, job_id=workflow["a"], ends=ends[0]),
            partial(end, ring=ring, job_id=workflow["b"], ends=ends[1]),
        )
        await check(ring, workflow, ends)
        await ring.monitor.execute("UPDATE baton.oban_jobs SET queue = 'done'")
    assert await ring.violations() == []


_END = """
WITH ended AS (
    UPDATE baton.workflow_nodes SET state = 'discarded' WHERE job_id = $1
)
UPDATE baton.oban_jobs SET state = 'discarded' WHERE id = $1
"""
_DOOM = """
WITH doomed AS (
    UPDATE baton.workflow_nodes n SET state = 'cancelled'
    WHERE n.any_of && ARRAY[$1::bigint] AND n.state IS NULL AND NOT EXISTS (
        SELECT FROM baton.workflow_nodes a WHERE a.job_id = ANY (n.any_of) AND a.state IS NULL
    )
    RETURNING n.job_id
)
UPDATE baton.oban_jobs j SET state = 'cancelled' FROM doomed d WHERE j.id = d.job_id RETURNING j.id
"""


async def end_without_lock(database: Store, job_id: int) -> int:
    """Fail one alternative, and the step when it was the last; how many steps that were."""
    async with database.transaction() as connection:
        await connection.execute(_END, job_id)
        return len(await connection.fetch(_DOOM, job_id))


async def test_without_the_lock_neither_is_the_last(ring: Arena) -> None:
    (workflow,) = await ring.insert(
        Baton().add("a", noop.new()).add("b", noop.new()).add("d", noop.new(), any_of=["a", "b"])
    )
    await ring.claim()
    race = await ring.in_order(
        partial(end_without_lock, job_id=workflow["a"]),
        partial(end_without_lock, job_id=workflow["b"]),
    )
    assert (race.first, race.second, race.waited) == (0, 0, False)
    assert f"step {workflow['d']}: suspended for ever" in await ring.violations()
