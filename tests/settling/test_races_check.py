"""Races of `check`, by which another host of the tables tells how a job ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import pytest

from baton.words.states import WorkflowOutcome
from races import naive
from races.arena import Arena, Workflow, arena, heard, join, roots, settle
from races.checking import told

ROUNDS = 100


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def write_states(ring: Arena) -> None:
    """The host writes the jobs' states after it has called `check`."""
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs j SET state = n.state::text::baton.oban_job_state"
        " FROM baton.workflow_nodes n"
        " WHERE n.job_id = j.id AND n.state IS NOT NULL"
    )


async def claimed(ring: Arena) -> Workflow:
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    return workflow


async def test_the_first_of_two_checks_counts(ring: Arena, dsn: str) -> None:
    for first, second in (("completed", "discarded"), ("discarded", "completed")):
        workflow = await claimed(ring)
        job_id = workflow["r1"]
        async with heard(dsn) as finished:
            race = await ring.in_order(
                partial(told, job_id=job_id, state=first, result=1),
                partial(told, job_id=job_id, state=second, result=2),
            )
        outcome = WorkflowOutcome("completed" if first == "completed" else "failed")
        assert race == (outcome, None, True)
        assert finished == [str(workflow.id)]
        facts = await ring.facts(job_id)
        assert facts[2:] == (first, 0, "1" if first == "completed" else None)
    await write_states(ring)
    assert await ring.violations() == []


async def test_checks_at_once_record_one_outcome(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    await ring.claim()
    async with heard(dsn) as finished:
        for workflow in workflows:
            outcomes = await ring.together(
                partial(told, job_id=workflow["r1"], state="completed"),
                partial(told, job_id=workflow["r1"], state="cancelled"),
            )
            assert sum(outcome is not None for outcome in outcomes) == 1
    assert Counter(finished) == {str(workflow.id): 1 for workflow in workflows}
    await write_states(ring)
    assert await ring.violations() == []


async def test_a_check_and_the_settlement_of_the_same_step(ring: Arena, dsn: str) -> None:
    """Both record a success; the result of the first stays."""
    for first in ("check", "settlement"):
        workflow = await claimed(ring)
        job_id = workflow["r1"]
        checks = partial(told, job_id=job_id, state="completed", result=2)
        settles = partial(settle, outcomes=ring.done(job_id), notify=True)
        async with heard(dsn) as finished:
            race = await ring.in_order(
                *((checks, settles) if first == "check" else (settles, checks))
            )
        assert race.waited
        assert finished == [str(workflow.id)]
        value = "2" if first == "check" else "1"
        assert await ring.facts(job_id) == ("completed", 1, "completed", 0, value)
    assert await ring.violations() == []


async def test_checks_and_settlements_of_a_join(ring: Arena, dsn: str) -> None:
    """One parent is settled by both hosts at once, the other by one of them."""
    workflows = await ring.insert(*(join() for _ in range(ROUNDS)))
    await ring.claim()
    for workflow in workflows:
        reply, ended = await ring.together(
            partial(settle, outcomes=ring.done(workflow["p1"], workflow["p2"])),
            partial(told, job_id=workflow["p1"], state="completed"),
        )
        assert (reply.stale, ended) == ([], None)
    joins = [workflow["d"] for workflow in workflows]
    assert await ring.states(joins) == ["available"] * ROUNDS
    await ring.claim()
    async with heard(dsn) as finished:
        for job_id in joins:
            await ring.together(
                partial(settle, outcomes=ring.done(job_id), notify=True),
                partial(told, job_id=job_id, state="completed"),
            )
    assert Counter(finished) == {str(workflow.id): 1 for workflow in workflows}
    assert await ring.violations() == []


async def test_without_the_lock_both_checks_record(ring: Arena) -> None:
    workflow = await claimed(ring)
    job_id = workflow["r1"]
    race = await ring.in_order(
        partial(naive.settle_node_without_lock, job_id=job_id, state="completed"),
        partial(naive.settle_node_without_lock, job_id=job_id, state="discarded"),
    )
    assert (race.first, race.second) == (True, True)
    assert (await ring.facts(job_id)).settled == "discarded"
