"""A step that has settled stays as it is, whatever somebody did to its job; and what one hot call
counts: stale outcomes, and the room of each queue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest

from baton import Baton
from baton.store.jobs import Claimant, Settled, settle_and_claim
from baton.words.rows import Demand, Outcome
from races.arena import Arena, arena, noop, roots, settle
from races.rescuing import rescue


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def by_hand(ring: Arena, job_id: int, *, settled: str, state: str) -> None:
    """A step that has settled, and whose job somebody moved since."""
    await ring.monitor.execute(
        "UPDATE baton.workflow_nodes SET state = $2::text::baton.step_state WHERE job_id = $1",
        job_id,
        settled,
    )
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = $2::text::baton.oban_job_state WHERE id = $1",
        job_id,
        state,
    )


@pytest.mark.parametrize("settled", ["completed", "cancelled", "discarded"])
async def test_its_dependencies_release_it_no_more(ring: Arena, settled: str) -> None:
    (workflow,) = await ring.insert(
        Baton()
        .add("a", noop.new())
        .add("b", noop.new(), deps=["a"])
        .add("c", noop.new(), deps=["a"])
    )
    await ring.claim()
    await by_hand(ring, workflow["b"], settled=settled, state="suspended")
    reply = await settle(ring.right, ring.done(workflow["a"]), room=5)
    assert [job.id for job in reply.jobs] == [workflow["c"]]
    facts = await ring.facts(workflow["b"])
    assert (facts.job, facts.settled) == ("suspended", settled)


async def test_a_wait_step_is_not_armed_any_more(ring: Arena) -> None:
    (workflow,) = await ring.insert(
        Baton().add("a", noop.new()).wait("g", any_of=["x"], timeout=600, deps=["a"])
    )
    await ring.claim()
    await by_hand(ring, workflow["g"], settled="cancelled", state="cancelled")
    await settle(ring.right, ring.done(workflow["a"]))
    assert await ring.monitor.fetchval("SELECT status FROM baton.workflow_wait_groups") == "dormant"


async def test_the_outcome_of_a_claim_that_was_lost_is_stale_also_when_the_job_completed(
    ring: Arena,
) -> None:
    """Completed by another claim: that is no echo of this one."""
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    (late,) = ring.done(workflow["r1"], value=1)
    await rescue(ring.right)
    await ring.claim()
    rightful = ring.done(workflow["r1"], value=2)
    assert (await settle(ring.right, rightful)).stale == []
    assert (await settle(ring.right, [late])).stale == [(late.job_id, late.attempted_at)]
    assert (await settle(ring.right, rightful)).stale == []
    assert (await ring.facts(workflow["r1"])).result == "2"


async def settle_for(ring: Arena, outcomes: Sequence[Outcome], rooms: dict[str, int]) -> Settled:
    demands = [Demand(queue, room, True) for queue, room in rooms.items()]
    return await settle_and_claim(
        ring.right, outcomes, demands, Claimant("race", uuid4()), notify=False
    )


async def test_what_is_handed_over_takes_room_of_its_own_queue_only(ring: Arena) -> None:
    (chain, rest, other) = await ring.insert(
        Baton().add("a", noop.new(), queue="first").add("b", noop.new(), queue="one", deps=["a"]),
        Baton().add("a", noop.new(), queue="one").add("b", noop.new(), queue="one"),
        Baton().add("a", noop.new(), queue="two").add("b", noop.new(), queue="two"),
    )
    await ring.claim(queue="first")
    reply = await settle_for(ring, ring.done(chain["a"]), {"one": 2, "two": 2})
    # One of two places of its queue is left; none of the other queue's is taken.
    assert [job.id for job in reply.jobs] == [chain["b"], rest["a"], other["a"], other["b"]]


async def test_nothing_is_claimed_where_all_room_is_handed_over(ring: Arena) -> None:
    (chain, rest) = await ring.insert(
        Baton().add("a", noop.new(), queue="first").add("b", noop.new(), deps=["a"]), roots(1)
    )
    await ring.claim(queue="first")
    reply = await settle_for(ring, ring.done(chain["a"]), {"default": 1})
    assert [job.id for job in reply.jobs] == [chain["b"]]
    assert await ring.states([rest["r1"]]) == ["available"]
