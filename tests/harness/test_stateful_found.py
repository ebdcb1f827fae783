"""What the machine of `tests/harness/model` has found, as plain tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from baton import Baton, Delivery, EngineSettings
from baton.completion import check
from baton.core.outcome import Ending, outcome
from baton.runs.actions import told
from baton.runs.cancel import cancel_workflow
from baton.runs.retry import asked, retry_workflow
from baton.runtime.executor import release
from baton.settling.settle_failures import hold, settle_failures
from baton.store.jobs import requeue_jobs
from baton.words.rows import NewWait
from model.editing import mutated, mutated_schema
from model.mutants import MUTANTS
from races.arena import done, join, noop, settle
from races.waiting import WaitRing, cancel, send, sweep, wait_ring
from support.inserting import Client


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[WaitRing]:
    async with wait_ring(dsn) as made:
        yield made


async def test_an_armed_gate_without_time_wakes_no_queue(ring: WaitRing) -> None:
    def make() -> Baton:
        gate = Baton().add("a", noop.new())
        return gate.wait("g", any_of=["x"], deps=["a"], timeout=0, on_timeout="cancel")

    (workflow,) = await ring.insert(make, 1)
    reply = await settle(ring.sides[0], [done(ring.claims[workflow["a"]])])
    assert reply.released == []
    assert await sweep(ring.sides[0]) == 1
    assert await ring.violations() == []


async def test_a_job_completed_by_hand_has_a_result_when_its_workflow_is_cancelled(
    ring: WaitRing,
) -> None:
    (workflow,) = await ring.insert(lambda: Baton().add("a", noop.new()).add("b", noop.new()), 1)
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'completed', completed_at = timezone('UTC', now())"
        " WHERE id = $1",
        workflow["a"],
    )
    await cancel_workflow(ring.sides[0], workflow.id, "no", notify=False)
    assert await ring.violations() == []


async def test_a_dormant_gate_takes_no_more_than_it_needs(ring: WaitRing) -> None:
    def make() -> Baton:
        return (
            Baton()
            .add("a", noop.new())
            .wait("g", any_of=["x", "y"], correlation_key="k", deps=["a"])
        )

    first, second = await ring.insert(make, 2)
    await cancel(second.id, "g")(ring.sides[0])
    assert await send(None, "x", correlation_key="k")(ring.sides[0]) is Delivery.DELIVERED
    # Nobody needs it: it is kept for a wait to come.
    assert await send(None, "y", correlation_key="k")(ring.sides[0]) is Delivery.BUFFERED
    await ring.complete(first["a"])(ring.sides[0])
    (third,) = await ring.insert(make, 1)
    await ring.complete(third["a"])(ring.sides[0])
    assert await ring.statuses() == {"completed": 2, "cancelled": 1}
    assert await ring.violations() == []


@pytest.mark.parametrize("ended", ["sent", "over"])
async def test_a_gate_whose_job_was_retried_by_hand_settles(ring: WaitRing, ended: str) -> None:
    def make() -> Baton:
        return Baton().wait("g", any_of=["x"], timeout=3600).add("b", noop.new(), deps=["g"])

    (workflow,) = await ring.insert(make, 1)
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", workflow["g"]
    )
    if ended == "sent":
        assert await send(workflow.id, "x")(ring.sides[0]) is Delivery.SETTLED
    else:
        await ring.monitor.execute(
            "UPDATE baton.workflow_wait_groups SET deadline = now(), wake_at = now()"
        )
        assert await sweep(ring.sides[0]) == 1
    assert await ring.states([workflow["g"], workflow["b"]]) == {"completed": 1, "available": 1}
    assert await ring.violations() == []


async def test_a_running_step_counts_what_settled_beside_a_dependency_cancelled_by_hand(
    ring: WaitRing,
) -> None:
    (workflow,) = await ring.insert(lambda: join(2), 1)
    first, second, below = (workflow[name] for name in ("p1", "p2", "d"))
    retry = "UPDATE baton.oban_jobs SET state = 'available', cancelled_at = NULL WHERE id = $1"
    side = ring.sides[0]
    await ring.monitor.execute(retry, below)
    (job,) = (await settle(side, (), room=1)).jobs
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'cancelled', cancelled_at = timezone('UTC', now())"
        " WHERE id = $1",
        first,
    )
    assert await check(second, "completed", engine=Client(side, EngineSettings())) is None
    # Before anybody has settled it, the first is retried by hand, and completes.
    await ring.monitor.execute(retry, first)
    (again,) = (await settle(side, (), room=1)).jobs
    await settle(side, [done(again)])
    await hold(side, [outcome(job, Ending.HELD)], notify=False)
    assert await ring.states([below]) == {"available": 1}


async def test_a_retry_counts_what_a_doomed_step_that_runs_has_not_taken_off(
    ring: WaitRing,
) -> None:
    (workflow,) = await ring.insert(lambda: join(1), 1)
    above, below = workflow["p1"], workflow["d"]
    side = ring.sides[0]
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", below
    )
    (job,) = (await settle(side, (), room=1)).jobs
    # While it runs, before its gate has looked, what it depends on fails; then it is given back.
    await settle_failures(side, [outcome(ring.claims[above], Ending.DISCARDED)], notify=False)
    await requeue_jobs(side, [release(job)], notify=False)
    retry = asked("failed", None, None, keep_memos=False, interrupt=False)
    await retry_workflow(side, workflow.id, retry, told(None, None), notify=False)
    (again,) = (await settle(side, (), room=1)).jobs
    await settle(side, [done(again)])
    assert await ring.states([above, below]) == {"completed": 1, "available": 1}
    assert await ring.violations() == []


async def hold_when_all_has_settled(ring: WaitRing) -> None:
    (workflow,) = await ring.insert(lambda: join(1), 1)
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", workflow["d"]
    )
    (job,) = (await settle(ring.sides[0], (), room=1)).jobs
    await ring.complete(workflow["p1"])(ring.sides[0])
    await hold(ring.sides[0], [outcome(job, Ending.HELD)], notify=False)
    assert await ring.states([workflow["d"]]) == {"available": 1}


async def send_to_a_wait_whose_step_runs(ring: WaitRing) -> None:
    (workflow,) = await ring.insert(lambda: Baton().add("a", noop.new()), 1)
    await ring.suspend(workflow["a"], NewWait(("x",), 1, replay_key="#1"))(ring.sides[0])
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", workflow["a"]
    )
    assert len((await settle(ring.sides[0], (), room=1)).jobs) == 1
    assert await send(workflow.id, "x")(ring.sides[0]) is Delivery.SETTLED
    assert await ring.states([workflow["a"]]) == {"executing": 1}


SEQUENCES: dict[str, Callable[[WaitRing], Awaitable[None]]] = {
    "held for ever": hold_when_all_has_settled,
    "more events than needed": test_a_dormant_gate_takes_no_more_than_it_needs,
    "woken while it runs": send_to_a_wait_whose_step_runs,
}
"""What chance seldom leads to."""


@pytest.mark.parametrize("mutant", SEQUENCES)
async def test_what_chance_seldom_leads_to(ring: WaitRing, mutant: str) -> None:
    await SEQUENCES[mutant](ring)


@pytest.mark.parametrize("mutant", SEQUENCES)
async def test_a_mutant_that_chance_seldom_finds(ring: WaitRing, dsn: str, mutant: str) -> None:
    edits = MUTANTS[mutant]
    async with mutated_schema(dsn, edits):
        with mutated(ring.sides[0].sql, edits), pytest.raises(AssertionError):
            await SEQUENCES[mutant](ring)
