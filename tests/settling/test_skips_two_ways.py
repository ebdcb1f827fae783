"""What follows from skipped steps stands twice: in `core/cascade.py`, and in `baton_open` for those
whose conditions are not met. Below the same skipped steps both come to the same.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from baton import Baton
from baton.settling.settle_failures import settle_nodes
from baton.store.settlement import Ended, Settlement
from baton.words.states import StepState
from races.arena import Arena, Workflow, arena, noop

# What a node counts matters until it has settled.
LOOK = """
    SELECT n.name, n.state::text, j.state::text AS job,
        CASE WHEN n.state IS NULL THEN n.pending END,
        CASE WHEN n.state IS NULL THEN n.any_of_state::text END,
        n.state IS NULL AND n.released_at IS NOT NULL AS released,
        to_jsonb(j.errors) -> -1 ->> 'error' AS error
    FROM baton.workflow_nodes n
    JOIN baton.oban_jobs j ON j.id = n.job_id
    WHERE n.workflow_id = $1 AND n.name LIKE 's%'
    ORDER BY n.job_id
"""
ENDS = """
    SELECT w.outstanding, w.skipped, w.failed, c.outcome, c.skipped_steps
    FROM baton.workflows w
    LEFT JOIN baton.workflow_completions c ON c.workflow_id = w.id
    WHERE w.id = $1
"""


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


def drawn(seed: int, *, conditions: bool) -> Baton:
    """`check`; `f…`, which are skipped when it ends; `x…`, which run on; `s…` below them all."""
    chance = random.Random(seed)
    workflow = Baton(ignore_cancelled=chance.random() < 0.5).add("check", noop.new())
    above = [f"f{number}" for number in range(chance.randint(1, 4))]
    for name in above:
        when: dict[str, Any] = {"when": {"check": "never"}} if conditions else {}
        workflow.add(name, noop.new(), deps=["check"], **when)
    for number in range(chance.randint(0, 2)):
        workflow.add(f"x{number}", noop.new())
        above.append(f"x{number}")
    for number in range(chance.randint(2, 10)):
        deps = [name for name in above if chance.random() < 0.3]
        any_of = [name for name in above if name not in deps and chance.random() < 0.3]
        if not deps and not any_of:
            deps = [chance.choice(above)]
        workflow.add(
            f"s{number}",
            noop.new(),
            deps=deps,
            any_of=any_of or None,
            run_when_skipped=chance.random() < 0.15,
        )
        above.append(f"s{number}")
    return workflow


async def skipped_by_condition(ring: Arena, seed: int) -> Workflow:
    (workflow,) = await ring.insert(drawn(seed, conditions=True))
    await settle(ring, Ended(workflow["check"], StepState.COMPLETED, '{"value": 1}'))
    return workflow


async def skipped_by_parts(ring: Arena, seed: int) -> Workflow:
    (workflow,) = await ring.insert(drawn(seed, conditions=False))
    await settle(ring, Ended(workflow["check"], StepState.COMPLETED, '{"value": 1}'))
    first = [job.id for name, job in workflow.steps.items() if name.startswith("f")]
    await settle(ring, *(Ended(job_id, StepState.SKIPPED) for job_id in first))
    return workflow


async def settle(ring: Arena, *ended: Ended) -> None:
    """As `check` does: the jobs have ended before."""
    async with ring.left.transaction() as connection:
        settlement = Settlement(connection, ring.left.sql, notify=False)
        await settlement.lock_workflows_of_jobs([one.job_id for one in ended])
        for one in ended:
            state = "cancelled" if one.state is StepState.SKIPPED else one.state.value
            await connection.execute(
                f"UPDATE baton.oban_jobs SET state = '{state}' WHERE id = $1", one.job_id
            )
        await settle_nodes(settlement, ended)


async def differences(ring: Arena, seeds: range) -> list[int]:
    """The seeds with which the two ways come to something else."""
    found: list[int] = []
    for seed in seeds:
        one, other = await skipped_by_condition(ring, seed), await skipped_by_parts(ring, seed)
        looks = [
            [tuple(row) for query in (LOOK, ENDS) for row in await ring.monitor.fetch(query, w.id)]
            for w in (one, other)
        ]
        if looks[0] != looks[1]:
            found.append(seed)
    return found


async def test_both_come_to_the_same(ring: Arena) -> None:
    assert await differences(ring, range(60)) == []
    assert await ring.violations() == []


# What they have in common, each without its line in `baton_open`.
VARIANTS = {
    "no skip below": ("NOT d.run_when_skipped\n", "false\n"),
    "alternatives do not count": ("bool_or(b.ends) AS ends", "false AS ends"),
    "another reason": ("'none of its alternatives was completed'", "'none'"),
    "no release is dated": (
        "WHEN n.pending <= b.settled THEN clock_timestamp()",
        "WHEN false THEN now()",
    ),
    "no alternative is waited for": (
        "WHERE a.job_id = ANY (n.any_of) AND a.state IS NULL",
        "WHERE false",
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_line_that_only_one_has_is_seen(ring: Arena, variant: str) -> None:
    text = await ring.monitor.fetchval("SELECT pg_get_functiondef('baton.baton_open'::regproc)")
    old, new = VARIANTS[variant]
    assert text.count(old) == 1
    await ring.monitor.execute(text.replace(old, new))
    assert await differences(ring, range(60)) != []
