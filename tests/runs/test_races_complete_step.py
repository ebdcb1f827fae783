"""Races of completing a step by hand: it settles once, with one result, and one end is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import pytest

from baton.errors import StepSettledError
from baton.runs.actions import Told
from baton.runs.cancel import cancel_workflow
from baton.runs.complete import complete_step
from baton.runs.retry import asked, retry_workflow
from baton.settling.settle_failures import settle_failures
from baton.store.jobs import requeue_jobs
from baton.store.store import Store
from baton.words.rows import Outcome
from baton.words.run_errors import NothingToRetryError
from baton.words.states import JobState
from races import naive
from races.arena import ROUNDS, Arena, Workflow, arena, diamond, done, heard, join, roots, settle

NOBODY = Told(None, None)
BY_HAND = '{"value":"hand"}'


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def by_hand(database: Store, workflow_id: UUID, name: str) -> int | str:
    """Complete a step; how many steps that begins anew, or how it had settled."""
    try:
        found = await complete_step(database, workflow_id, name, BY_HAND, NOBODY, notify=True)
    except StepSettledError as error:
        return str(error.state)
    assert found is not None
    (action,) = found.actions
    begun: int = action.result["begun_anew"]
    return begun


async def complete(database: Store, outcome: Outcome, room: int = 0) -> bool:
    return (await settle(database, [outcome], room=room, notify=True)).stale == []


async def discard(database: Store, outcome: Outcome) -> bool:
    return bool((await settle_failures(database, [outcome], notify=True)).accepted)


async def play(ring: Arena, *workflows: Workflow) -> None:
    """Perform what is left."""
    while jobs := await ring.claim():
        assert (await settle(ring.left, [done(job) for job in jobs], notify=True)).stale == []
    assert await ring.violations() == []
    for workflow in workflows:
        assert workflow.id in await ring.completions()


async def test_its_own_outcome_then_by_hand(ring: Arena) -> None:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    race = await ring.in_order(
        partial(complete, outcome=ring.done(workflow["a"])[0]),
        partial(by_hand, workflow_id=workflow.id, name="a"),
    )
    assert race == (True, "completed", True)
    assert (await ring.facts(workflow["a"])).result == "1"
    await play(ring, workflow)


async def test_by_hand_then_its_own_outcome(ring: Arena) -> None:
    """The late outcome is stale, and no echo of a lost reply."""
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    race = await ring.in_order(
        partial(by_hand, workflow_id=workflow.id, name="a"),
        partial(complete, outcome=ring.done(workflow["a"])[0]),
    )
    assert race == (0, False, True)
    assert (await ring.facts(workflow["a"])).result == "hand"
    assert await ring.states([workflow["b1"]]) == ["available"]
    await play(ring, workflow)


async def test_what_a_retry_has_interrupted_is_late_too(ring: Arena) -> None:
    """Nobody has claimed the step since, so that its claim would still be the attempt's."""
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    again = asked("failed", ["a"], None, keep_memos=False, interrupt=True)
    await retry_workflow(ring.left, workflow.id, again, NOBODY, notify=False)
    assert await by_hand(ring.left, workflow.id, "a") == 0
    assert not await complete(ring.right, ring.done(workflow["a"])[0])
    assert (await ring.facts(workflow["a"])).result == "hand"
    await play(ring, workflow)


async def test_with_the_same_claim_the_late_outcome_seems_to_be_written(ring: Arena) -> None:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    race = await ring.in_order(
        partial(naive.complete_under_the_claim, job_id=workflow["a"]),
        partial(complete, outcome=ring.done(workflow["a"])[0]),
    )
    assert race.second
    assert (await ring.facts(workflow["a"])).result == "hand"


async def test_its_own_success_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS)))
    await ring.claim()
    async with heard(dsn) as told:
        for workflow in workflows:
            accepted, begun = await ring.together(
                partial(complete, outcome=ring.done(workflow["a"])[0]),
                partial(by_hand, workflow_id=workflow.id, name="a"),
            )
            assert begun == ("completed" if accepted else 0)
            result = (await ring.facts(workflow["a"])).result
            assert result == ("1" if accepted else "hand")
        assert await ring.violations() == []
        await play(ring, *workflows)
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)


async def test_its_own_failure_at_once(ring: Arena, dsn: str) -> None:
    """In either order the step completes, and what a cascade had cancelled is begun."""
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS)))
    await ring.claim()
    ended = 0
    async with heard(dsn) as told:
        for workflow in workflows:
            failed, begun = await ring.together(
                partial(discard, outcome=ring.ended(workflow["a"], JobState.DISCARDED, error="")),
                partial(by_hand, workflow_id=workflow.id, name="a"),
            )
            assert begun == (3 if failed else 0)
            ended += failed
            assert await ring.states([workflow["a"], workflow["b1"]]) == ["completed", "available"]
        assert await ring.violations() == []
        await play(ring, *workflows)
    # Each run is told once: those that had failed ended twice.
    assert len(told) == ROUNDS + ended
    ends = await ring.monitor.fetch(
        "SELECT run, outcome FROM baton.workflow_completions ORDER BY run"
    )
    assert sum(row["outcome"] == "completed" for row in ends) == ROUNDS
    assert sum(row["outcome"] == "failed" for row in ends) == ended


async def test_a_retry_of_the_attempt_at_once(ring: Arena) -> None:
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    await ring.claim()
    for workflow in workflows:
        again = ring.ended(workflow["r1"], JobState.AVAILABLE, attempt_change=-1)
        _, begun = await ring.together(
            partial(requeue_jobs, outcomes=[again], notify=False),
            partial(by_hand, workflow_id=workflow.id, name="r1"),
        )
        assert begun == 0
        assert await ring.states([workflow["r1"]]) == ["completed"]
    await play(ring, *workflows)


async def test_a_claim_at_once(ring: Arena) -> None:
    """Whoever claims it meanwhile performs in vain."""
    for _ in range(ROUNDS):
        # One at a time: what is locked is passed over for the next.
        (workflow,) = await ring.insert(roots(1))
        reply, begun = await ring.together(
            partial(settle, outcomes=(), room=1),
            partial(by_hand, workflow_id=workflow.id, name="r1"),
        )
        assert begun == 0
        late = await settle(ring.left, [done(job) for job in reply.jobs])
        assert [job_id for job_id, _ in late.stale] == [job.id for job in reply.jobs]
    assert await ring.violations() == []


async def test_the_last_sibling_and_by_hand_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(join() for _ in range(ROUNDS)))
    await ring.claim()
    async with heard(dsn) as told:
        for workflow in workflows:
            accepted, begun = await ring.together(
                partial(complete, outcome=ring.done(workflow["p1"])[0]),
                partial(by_hand, workflow_id=workflow.id, name="p2"),
            )
            assert (accepted, begun) == (True, 0)
            assert await ring.states([workflow["d"]]) == ["available"]
        await play(ring, *workflows)
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)


async def test_a_cancelled_workflow_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(roots(2) for _ in range(ROUNDS)))
    async with heard(dsn) as told:
        for workflow in workflows:
            cancelled, begun = await ring.together(
                partial(cancel_workflow, workflow_id=workflow.id, reason="no", notify=True),
                partial(by_hand, workflow_id=workflow.id, name="r1"),
            )
            assert cancelled is not None
            assert (len(cancelled.accepted), begun) in ((2, 0), (1, 0))
            assert await ring.states([workflow["r1"], workflow["r2"]]) == ["completed", "cancelled"]
        assert await ring.violations() == []
    runs = await ring.monitor.fetchval("SELECT sum(run)::integer FROM baton.workflows")
    assert len(told) == runs


async def test_a_retry_at_once(ring: Arena) -> None:
    """One of them puts the failed part back; by hand the step completes in any case."""
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS)))
    await ring.claim()
    failed = asked("failed", None, None, keep_memos=False, interrupt=False)

    async def retry(database: Store, workflow_id: UUID) -> bool:
        try:
            await retry_workflow(database, workflow_id, failed, NOBODY, notify=True)
        except NothingToRetryError:
            return False
        return True

    for workflow in workflows:
        assert await discard(ring.left, ring.ended(workflow["a"], JobState.DISCARDED, error="no"))
        retried, begun = await ring.together(
            partial(retry, workflow_id=workflow.id),
            partial(by_hand, workflow_id=workflow.id, name="a"),
        )
        assert (retried, begun) in ((True, 0), (False, 3))
        assert await ring.states([workflow["a"], workflow["b1"]]) == ["completed", "available"]
    assert await ring.violations() == []
    await play(ring, *workflows)
