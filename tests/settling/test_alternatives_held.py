"""Steps with alternatives or conditions whose jobs run while their dependencies end: moved by hand,
or begun before a retry. None is stranded, and none is performed although its condition is not met.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from baton import Baton, JobState
from baton.runs.actions import Told
from baton.runs.complete import complete_step
from baton.runs.retry import asked, retry_workflow
from baton.settling.settle_failures import hold, settle_failures, settle_nodes
from baton.store.settlement import Ended, Settlement
from baton.sweep.repair import Sweeper
from baton.words.config import EngineSettings
from baton.words.states import StepState
from races.arena import Arena, Workflow, arena, noop, settle
from races.moving import gate, give_back, move


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def fail(ring: Arena, job_id: int, state: str) -> None:
    skipped = state == "skipped"
    outcome = ring.ended(
        job_id, JobState("cancelled" if skipped else state), error="x", skipped=skipped
    )
    await settle_failures(ring.right, [outcome], notify=False)


async def retry(ring: Arena, workflow: Workflow) -> None:
    options = asked("failed", None, None, keep_memos=False, interrupt=False)
    await retry_workflow(ring.right, workflow.id, options, Told(None, None), notify=False)


async def three(ring: Arena, **options: object) -> Workflow:
    """a, b and c run; d needs c and one of the others."""
    flow = Baton().add("a", noop.new()).add("b", noop.new()).add("c", noop.new())
    flow.add("d", noop.new(), deps=["c"], any_of=["a", "b"], **options)  # type: ignore[arg-type]
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    return workflow


async def test_a_retry_while_the_step_runs_loses_no_dependency(ring: Arena) -> None:
    workflow = await three(ring, ignore_cancelled=True)
    await fail(ring, workflow["a"], "cancelled")
    await fail(ring, workflow["c"], "cancelled")
    assert [job.id for job in await ring.claim()] == [workflow["d"]]
    await retry(ring, workflow)
    await ring.claim()
    await fail(ring, workflow["b"], "discarded")
    await fail(ring, workflow["c"], "cancelled")
    job = await give_back(ring, workflow["d"])
    await hold(ring.right, [await gate(ring, job)], notify=False)
    await settle(ring.right, ring.done(workflow["a"]))
    assert (await ring.facts(workflow["d"])).job == "available"
    assert await ring.violations() == []


@pytest.mark.parametrize("how", ["skipped", "cancelled"])
async def test_a_dependency_counts_beside_a_failed_alternative(ring: Arena, how: str) -> None:
    workflow = await three(ring, ignore_cancelled=how == "cancelled")
    outcome = await gate(ring, await move(ring, workflow["d"]))
    await fail(ring, workflow["a"], "discarded")
    await fail(ring, workflow["c"], how)
    await hold(ring.right, [outcome], notify=False)
    await settle(ring.right, ring.done(workflow["b"]))
    assert (await ring.facts(workflow["d"])).job == "available"
    assert await ring.violations() == []


@pytest.mark.parametrize("met", [True, False])
async def test_a_condition_that_was_due_while_the_step_ran_is_decided(
    ring: Arena, met: bool
) -> None:
    workflow = await three(ring, ignore_discarded=True, unless={"c": {"bad": True}})
    await fail(ring, workflow["c"], "discarded")
    await settle(ring.right, ring.done(workflow["a"]))
    assert [job.id for job in await ring.claim()] == [workflow["d"]]
    await retry(ring, workflow)
    await ring.claim()
    outcome = await gate(ring, await give_back(ring, workflow["d"]))
    assert outcome.state is JobState.SUSPENDED
    # Between the gate and what it says: b has not ended.
    result = '{"good": true}' if met else '{"bad": true}'
    await settle(ring.right, ring.done(workflow["c"], value=result))
    await hold(ring.right, [outcome], notify=False)
    facts = await ring.facts(workflow["d"])
    assert (facts.job, facts.settled) == (("available", None) if met else ("cancelled", "skipped"))
    await settle(ring.right, ring.done(workflow["b"]))
    assert await ring.violations() == []


async def test_a_step_whose_condition_is_not_met_is_not_performed(ring: Arena) -> None:
    workflow = await three(ring, when={"c": {"good": True}})
    await move(ring, workflow["d"])
    await settle(ring.right, ring.done(workflow["a"]))
    await settle(ring.right, ring.done(workflow["c"], value='{"good": false}'))
    # A rescue gives it back while b runs on.
    outcome = await gate(ring, await give_back(ring, workflow["d"]))
    assert (outcome.state, outcome.skipped) == (JobState.CANCELLED, True)


async def test_what_a_condition_counts_stays_while_the_step_runs(ring: Arena) -> None:
    """Its dependency failed, which is its condition, and is completed by hand meanwhile."""
    flow = Baton().add("a", noop.new()).add("d", noop.new(), deps=["a"], on_failure=True)
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    await fail(ring, workflow["a"], "discarded")
    await ring.claim()
    told = Told(None, None)
    await complete_step(ring.right, workflow.id, "a", '{"value": 1}', told, notify=False)
    assert await ring.violations() == []
    outcome = await gate(ring, await give_back(ring, workflow["d"]))
    assert (outcome.state, outcome.skipped) == (JobState.CANCELLED, True)


async def test_an_alternative_that_vanished_counts_as_cancelled(ring: Arena) -> None:
    flow = Baton().add("a", noop.new()).add("b", noop.new()).add("c", noop.new())
    flow.add("d", noop.new(), any_of=["a", "b", "c"], ignore_cancelled=True)
    flow.add("e", noop.new(), any_of=["a", "b", "c"])
    (workflow,) = await ring.insert(flow)
    await ring.claim()
    await ring.monitor.execute("DELETE FROM baton.oban_jobs WHERE id = $1", workflow["a"])
    await Sweeper().settle(ring.right, EngineSettings())
    assert (await ring.facts(workflow["d"])).job == "available"
    assert await ring.violations() == []
    await fail(ring, workflow["b"], "discarded")
    told = Told(None, None)
    await complete_step(ring.right, workflow.id, "b", '{"value": 1}', told, notify=False)
    await settle(ring.right, ring.done(workflow["c"]))
    states = await ring.states([workflow["d"], workflow["e"]])
    assert states == ["available", "available"]
    assert await ring.violations() == []


async def looks(ring: Arena, count: int) -> int:
    """How many nodes are read while one settlement skips many alternatives of a step."""
    names = [f"s{number}" for number in range(count)]
    flow = Baton().add("a", noop.new())
    for name in names:
        flow.add(name, noop.new(), deps=["a"], when={"a": "never"})
    (workflow,) = await ring.insert(flow.add("z", noop.new(), any_of=names))
    async with ring.left.transaction() as connection:
        settlement = Settlement(connection, ring.left.sql, notify=False)
        await settlement.lock_workflow(workflow.id)
        await connection.execute(
            "UPDATE baton.oban_jobs SET state = 'completed' WHERE id = $1", workflow["a"]
        )
        await settle_nodes(settlement, [Ended(workflow["a"], StepState.COMPLETED, '{"value": 1}')])
        found: int = await connection.fetchval(
            "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'workflow_nodes'"
        )
    facts = await ring.facts(workflow["z"])
    assert (facts.job, facts.settled) == ("cancelled", "skipped")
    return found


async def test_many_skipped_alternatives_are_looked_at_in_linear_time(ring: Arena) -> None:
    few = await looks(ring, 100)
    assert await looks(ring, 400) < 6 * few
    assert await ring.violations() == []
