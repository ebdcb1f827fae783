"""Putting a step to sleep that waits: fenced on its claim, safe to repeat; and what wakes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from baton import Baton, EngineSettings, Step, send_event, worker
from baton.core.outcome import Ending, outcome
from baton.core.waits import Wanted
from baton.steps.wait_options import new_wait
from baton.store.waits import decided, suspend_jobs
from baton.words.rows import ClaimedJob, NewWait
from races.arena import Arena, arena, noop, roots, settle
from support.inserting import Client
from support.running import running
from support.waits import until_waits


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


def waiting(name: str = "x", key: str = "#1", **options: Any) -> NewWait:
    return new_wait(Wanted((name,), 1), options, replay_key=key)


async def suspend(ring: Arena, job: ClaimedJob, wait: NewWait | None = None) -> set[int]:
    """Suspends one claimed job; its id where that was written, none where the claim is lost."""
    ended = outcome(job, Ending.SUSPENDED)._replace(wait=wait or waiting())
    reply = await suspend_jobs(ring.right, [ended], notify=False)
    return set(reply.accepted)


async def event(ring: Arena, workflow_id: Any, name: str = "x", payload: object = 1) -> str:
    client = Client(ring.right, EngineSettings())
    return (await send_event(workflow_id, name, payload, engine=client)).value


async def groups(ring: Arena) -> list[tuple[str, ...]]:
    rows = await ring.monitor.fetch(
        "SELECT replay_key, status FROM baton.workflow_wait_groups ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_a_claim_that_is_not_the_jobs_puts_nothing_to_sleep(ring: Arena) -> None:
    """The job was rescued and claimed again: the run that lost it may not suspend the other's."""
    await ring.insert(roots(1))
    (job,) = await ring.claim()
    late = job._replace(attempted_at=job.attempted_at - timedelta(microseconds=1))
    assert await suspend(ring, late) == set()
    assert (await ring.facts(job.id))[:2] == ("executing", 1)
    assert await groups(ring) == []
    assert await suspend(ring, job) == {job.id}
    assert (await ring.facts(job.id))[:2] == ("suspended", 0)
    assert await groups(ring) == [("#1", "pending")]
    assert await ring.violations() == []


async def test_the_echo_of_a_lost_reply_is_accepted_and_changes_nothing(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots(1))
    (job,) = await ring.claim()
    for _ in range(3):
        assert await suspend(ring, job) == {job.id}
    assert await groups(ring) == [("#1", "pending")]
    assert (await ring.facts(job.id)).pending == 1
    # Woken meanwhile, it is the same claim's still.
    await event(ring, workflow.id)
    assert await ring.states([job.id]) == ["available"]
    assert await suspend(ring, job) == {job.id}
    assert await ring.states([job.id]) == ["available"]
    # Claimed again, it is not.
    (again,) = await ring.claim()
    assert await suspend(ring, job) == set()
    assert await ring.states([job.id]) == ["executing"]
    settled = await settle(ring.right, ring.done(again.id))
    assert len(settled.completions) == 1


@pytest.mark.parametrize("state", ["cancelled", "completed", "scheduled"])
async def test_the_echo_of_one_that_has_ended_or_moved_is_stale(ring: Arena, state: str) -> None:
    await ring.insert(roots(1))
    (job,) = await ring.claim()
    await suspend(ring, job)
    await ring.monitor.execute(f"UPDATE baton.oban_jobs SET state = '{state}'")
    assert await suspend(ring, job) == set()
    assert await ring.states([job.id]) == [state]


async def test_the_echo_of_another_wait_is_stale(ring: Arena) -> None:
    """A claim that suspended under one key has not done so under another."""
    await ring.insert(roots(1))
    (job,) = await ring.claim()
    await suspend(ring, job)
    assert await suspend(ring, job, waiting("y", "#2")) == set()
    assert await groups(ring) == [("#1", "pending")]


async def test_a_wait_does_not_wake_a_step_whose_dependency_is_pending(ring: Arena) -> None:
    """Somebody moved it by hand, so that it ran, and waits, before its dependency has settled."""
    (workflow,) = await ring.insert(
        Baton().add("a", noop.new()).add("b", noop.new(), deps=["a"]).add("c", noop.new())
    )
    await ring.claim()
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", workflow["b"]
    )
    (job,) = await ring.claim()
    assert job.id == workflow["b"]
    await suspend(ring, job)
    assert (await ring.facts(job.id)).pending == 2
    await event(ring, workflow.id)
    assert await groups(ring) == [("#1", "completed")]
    facts = await ring.facts(job.id)
    assert (facts.job, facts.pending) == ("suspended", 1)
    await settle(ring.right, ring.done(workflow["a"]))
    assert await ring.states([job.id]) == ["available"]
    assert await ring.violations() == []


async def test_a_dependency_does_not_release_a_step_that_waits(ring: Arena) -> None:
    """The other way round."""
    (workflow,) = await ring.insert(Baton().add("a", noop.new()).add("b", noop.new(), deps=["a"]))
    await ring.claim()
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", workflow["b"]
    )
    (job,) = await ring.claim()
    await suspend(ring, job)
    await settle(ring.right, ring.done(workflow["a"]), room=5)
    facts = await ring.facts(job.id)
    assert (facts.job, facts.pending) == ("suspended", 1)
    await event(ring, workflow.id)
    assert await ring.states([job.id]) == ["available"]


async def test_a_wait_that_settled_before_its_step_sleeps_makes_it_runnable(ring: Arena) -> None:
    """Moved by hand while it waited, the step ran again and did not see the event that came."""
    (workflow,) = await ring.insert(roots(1))
    (job,) = await ring.claim()
    await suspend(ring, job)
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", job.id
    )
    (again,) = await ring.claim()
    await event(ring, workflow.id)
    assert await ring.states([job.id]) == ["executing"]
    ended = outcome(again, Ending.SUSPENDED)._replace(wait=waiting())
    reply = await suspend_jobs(ring.right, [ended], notify=False)
    assert (set(reply.accepted), list(reply.released)) == ({job.id}, ["default"])
    facts = await ring.facts(job.id)
    assert (facts.job, facts.pending, facts.attempt) == ("available", 0, 0)


async def test_a_step_that_waits_for_something_else_leaves_its_first_wait(ring: Arena) -> None:
    """Moved by hand while it waited, the step ran again, and its code is another one now."""
    (workflow,) = await ring.insert(roots(1))
    (job,) = await ring.claim()
    await suspend(ring, job)
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", job.id
    )
    (again,) = await ring.claim()
    assert await suspend(ring, again, waiting("y", "other")) == {job.id}
    assert await groups(ring) == [("#1", "cancelled"), ("other", "pending")]
    assert (await ring.facts(job.id)).pending == 1
    assert await event(ring, workflow.id, "x") == "buffered"
    assert await event(ring, workflow.id, "y") == "settled"
    facts = await ring.facts(job.id)
    assert (facts.job, facts.pending) == ("available", 0)
    assert await ring.violations() == []


async def test_a_wait_ends_with_its_step(ring: Arena) -> None:
    """Moved by hand while it waited, the step ran again and completed without waiting."""
    (workflow,) = await ring.insert(roots(1))
    (job,) = await ring.claim()
    await suspend(ring, job)
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", job.id
    )
    await ring.claim()
    await settle(ring.right, ring.done(job.id))
    assert await groups(ring) == [("#1", "cancelled")]
    rows = await ring.monitor.fetch("SELECT state FROM baton.workflow_wait_members")
    assert [row["state"] for row in rows] == ["missed"]
    assert await ring.completions() == {workflow.id: "completed"}


held = asyncio.Event()
met = asyncio.Event()


@worker(name="tests.suspension.moved", max_attempts=1)
async def moved(step: Step) -> list[Any]:
    first = await step.wait_for("x")
    met.set()
    await held.wait()
    return [first, await step.wait_for("y")]


async def test_a_step_that_was_moved_by_hand_goes_on_with_what_came_meanwhile(dsn: str) -> None:
    held.set()
    async with running(dsn) as run:
        workflow = Baton().add("s", moved.new())
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        await send_event(workflow.workflow_id, "x", 1)
        await met.wait()
        await until_waits(run.tables, workflow)
        held.clear()
        met.clear()
        # It reads its waits when it meets the first: the second is pending then.
        await run.tables.change(workflow, "s", state="'available'")
        await run.tables.execute("NOTIFY \"baton.oban_insert\", '{}'")
        await met.wait()
        await send_event(workflow.workflow_id, "y", 2)
        held.set()
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == [1, 2]


async def test_what_has_settled_is_not_decided_again(ring: Arena) -> None:
    """By whatever way a decider comes to a group: its outcome stands, and is told once."""
    (workflow,) = await ring.insert(
        Baton().wait("g", any_of=["x"]).add("s", noop.new()).wait("t", any_of=["y"], timeout=0.0)
    )
    (job,) = await ring.claim()
    await suspend(ring, job)
    await event(ring, workflow.id, "x", "first")
    await event(ring, workflow.id, "x", "first")
    ids = [row[0] for row in await ring.monitor.fetch("SELECT id FROM baton.workflow_wait_groups")]
    async with ring.right.transaction() as connection:
        await connection.fetch(ring.right.sql("lock_workflows"), [workflow.id])
        await connection.fetch(ring.right.sql("decide_waits"), ids, [], False)
    before = await ring.monitor.fetch("SELECT * FROM baton.workflow_wait_groups ORDER BY id")
    assert {row["status"] for row in before} == {"completed", "timeout"}
    states = await ring.states(one.id for one in workflow.steps.values())
    async with ring.right.transaction() as connection:
        await connection.fetch(ring.right.sql("lock_workflows"), [workflow.id])
        rows = await connection.fetch(ring.right.sql("decide_waits"), ids, [], False)
    assert decided(rows).waits == []
    assert (
        await ring.monitor.fetch("SELECT * FROM baton.workflow_wait_groups ORDER BY id") == before
    )
    assert await ring.states(one.id for one in workflow.steps.values()) == states
    assert await ring.violations() == []
