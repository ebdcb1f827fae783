"""Races for a claim: as many as asked for, once each; and only the holder's outcome counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from baton.store.jobs import requeue_jobs
from baton.store.store import Store
from baton.words.rows import Outcome
from baton.words.states import JobState
from races import naive
from races.arena import Arena, arena, roots, settle
from races.rescuing import ledger, rescue

ROUNDS = 150


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def write(database: Store, outcome: Outcome) -> bool:
    """Hand any outcome to the real ledger; returns whether it was accepted."""
    async with ledger(database) as books:
        reply = await books.settle([outcome], [])
    return (outcome.job_id, outcome.attempted_at) not in reply.stale


ENDINGS: dict[str, Callable[[Outcome], Outcome]] = {
    "completed": lambda o: o._replace(state=JobState.COMPLETED, result='{"value":"late"}'),
    "discarded": lambda o: o._replace(state=JobState.DISCARDED, error="late"),
    "cancelled": lambda o: o._replace(state=JobState.CANCELLED, error="late"),
    "retryable": lambda o: o._replace(state=JobState.RETRYABLE, error="late", delay=0.0),
    "snoozed": lambda o: o._replace(state=JobState.SCHEDULED, delay=0.0, attempt_change=-1),
    "released": lambda o: o._replace(state=JobState.AVAILABLE, attempt_change=-1),
    "held": lambda o: o._replace(state=JobState.SUSPENDED, attempt_change=-1),
}


ENDING_LIST = list(ENDINGS.items())


async def claimed_twice(ring: Arena) -> tuple[Outcome, Outcome]:
    """Claimed, given back by the rescuer, claimed again: the late and the rightful outcome."""
    (workflow,) = await ring.insert(roots(1))
    (first,) = await ring.claim()
    await rescue(ring.right)
    (second,) = await ring.claim()
    assert first.id == second.id == workflow["r1"]
    assert first.attempt == second.attempt == 1
    late = Outcome(first.id, first.attempted_at, first.attempt, JobState.AVAILABLE)
    return late, ring.done(second.id)[0]


async def test_the_outcome_of_a_lost_claim_is_dropped(ring: Arena) -> None:
    for name, ending in ENDINGS.items():
        for when in ("before", "after"):
            late, rightful = await claimed_twice(ring)
            if when == "after":
                assert await write(ring.left, rightful)
            assert not await write(ring.right, ending(late)), name
            if when == "before":
                assert (await ring.facts(late.job_id))[:3] == ("executing", 1, None), name
                assert await write(ring.left, rightful)
            assert await ring.facts(late.job_id) == ("completed", 1, "completed", 0, "1"), name
    assert await ring.violations() == []


async def test_the_late_and_the_rightful_outcome_at_once(ring: Arena) -> None:
    for number in range(ROUNDS // 2):
        name, ending = ENDING_LIST[number % len(ENDING_LIST)]
        late, rightful = await claimed_twice(ring)
        pair = partial(write, outcome=ending(late)), partial(write, outcome=rightful)
        left, right = pair if number % 2 else pair[::-1]
        assert sorted(await ring.together(left, right)) == [False, True], name
        assert await ring.facts(late.job_id) == ("completed", 1, "completed", 0, "1"), name
    assert await ring.violations() == []


async def test_a_fence_of_the_id_lets_the_late_outcome_win(ring: Arena) -> None:
    late, rightful = await claimed_twice(ring)
    assert await write(ring.left, rightful)
    await naive.write_by_id(ring.right, ENDINGS["retryable"](late))
    assert await ring.states([late.job_id]) == ["retryable"]


async def test_a_fence_of_the_attempt_lets_the_late_outcome_win(ring: Arena) -> None:
    late, rightful = await claimed_twice(ring)
    assert await naive.write_by_attempt(ring.right, ENDINGS["discarded"](late)) == 1
    assert not await write(ring.left, rightful)
    assert await ring.states([late.job_id]) == ["discarded"]


async def test_rescue_waits_for_a_completion(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    race = await ring.in_order(partial(settle, outcomes=ring.done(workflow["r1"])), rescue)
    assert race.waited
    assert await ring.facts(workflow["r1"]) == ("completed", 1, "completed", 0, "1")
    assert await ring.violations() == []


async def test_a_completion_waits_for_a_rescue(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    given_back = ring.ended(workflow["r1"], JobState.AVAILABLE, error="lost", attempt_change=-1)
    race = await ring.in_order(
        partial(requeue_jobs, outcomes=[given_back], notify=False),
        partial(settle, outcomes=ring.done(workflow["r1"])),
    )
    assert race.waited
    assert [job_id for job_id, _ in race.second.stale] == [workflow["r1"]]
    assert await ring.facts(workflow["r1"]) == ("available", 0, None, 0, None)
    assert await ring.violations() == []


async def test_rescue_and_complete_at_once(ring: Arena) -> None:
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    for workflow in workflows:
        job_id = workflow["r1"]
        await ring.claim(1)
        reply, _ = await ring.together(partial(settle, outcomes=ring.done(job_id)), rescue)
        if reply.stale:
            assert (await ring.facts(job_id))[:3] == ("available", 0, None)
            await ring.claim(1)
            assert (await settle(ring.right, ring.done(job_id))).stale == []
    assert set(await ring.states(w["r1"] for w in workflows)) == {"completed"}
    assert await ring.violations() == []


async def test_a_rescue_by_id_revives_what_was_completed(ring: Arena) -> None:
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    given_back = ring.ended(workflow["r1"], JobState.AVAILABLE)
    race = await ring.in_order(
        partial(settle, outcomes=ring.done(workflow["r1"])),
        partial(naive.write_by_id, outcome=given_back),
    )
    assert race.waited
    assert await ring.states([workflow["r1"]]) == ["available"]


async def test_two_claimers_of_one_job(ring: Arena) -> None:
    claim = partial(settle, outcomes=(), room=1)
    (workflow,) = await ring.insert(roots(1))
    race = await ring.in_order(claim, claim)
    assert not race.waited
    assert ([job.id for job in race.first.jobs], race.second.jobs) == ([workflow["r1"]], [])
    for _ in range(ROUNDS):
        (workflow,) = await ring.insert(roots(1))
        left, right = await ring.together(claim, claim)
        assert [job.id for job in (*left.jobs, *right.jobs)] == [workflow["r1"]]


async def test_looking_before_taking_claims_a_job_twice(ring: Arena) -> None:
    await ring.insert(roots(1))
    claim = partial(naive.claim_without_lock, limit=1)
    race = await ring.in_order(claim, claim)
    assert len({*race.first, *race.second}) < len([*race.first, *race.second])
