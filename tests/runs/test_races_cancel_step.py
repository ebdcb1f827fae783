"""Races of cancelling a step: it settles once, what is below follows once, one end is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import pytest

from baton.errors import StepSettledError
from baton.runs.cancel import cancel_step, cancel_workflow
from baton.settling.settle_failures import settle_failures
from baton.store.store import Store
from baton.words.rows import Outcome
from baton.words.states import JobState
from races import naive
from races.arena import ROUNDS, Arena, arena, diamond, heard, join, settle


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def cancel(database: Store, workflow_id: UUID, name: str) -> int | str:
    """Cancel a step; how many jobs that cancelled, or how the step had settled."""
    try:
        found = await cancel_step(database, workflow_id, name, "by request", notify=True)
    except StepSettledError as error:
        return str(error.state)
    assert found is not None
    return len(found.effects.cancelled)


async def complete(database: Store, outcome: Outcome, room: int = 0) -> bool:
    return (await settle(database, [outcome], room=room, notify=True)).stale == []


async def discard(database: Store, outcome: Outcome) -> int:
    """Settle a failure; how many steps its cascade cancelled, -1 when the claim was lost."""
    effects = await settle_failures(database, [outcome], notify=True)
    return len(effects.cancelled) if effects.accepted else -1


async def test_its_own_outcome_first(ring: Arena) -> None:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    race = await ring.in_order(
        partial(complete, outcome=ring.done(workflow["a"])[0]),
        partial(cancel, workflow_id=workflow.id, name="a"),
    )
    assert race == (True, "completed", True)
    assert await ring.violations() == []


async def test_the_request_first(ring: Arena, dsn: str) -> None:
    (workflow,) = await ring.insert(diamond())
    await ring.claim()
    async with heard(dsn) as told:
        race = await ring.in_order(
            partial(cancel, workflow_id=workflow.id, name="a"),
            partial(complete, outcome=ring.done(workflow["a"])[0], room=2),
        )
    assert race == (4, False, True)
    assert told == [str(workflow.id)]
    assert await ring.violations() == []


async def test_its_own_outcome_and_the_request_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS)))
    await ring.claim()
    ended: list[str] = []
    async with heard(dsn) as told:
        for workflow in workflows:
            accepted, cancelled = await ring.together(
                partial(complete, outcome=ring.done(workflow["a"])[0]),
                partial(cancel, workflow_id=workflow.id, name="a"),
            )
            assert cancelled == ("completed" if accepted else 4)
            ended += [] if accepted else [str(workflow.id)]
    assert sorted(told) == sorted(ended)
    assert await ring.violations() == []


async def test_a_cascade_and_the_request_at_once(ring: Arena, dsn: str) -> None:
    """The cascade of one parent dooms the very step that is cancelled."""
    workflows = await ring.insert(*(join() for _ in range(ROUNDS)))
    await ring.claim()
    async with heard(dsn) as told:
        for workflow in workflows:
            doomed, cancelled = await ring.together(
                partial(discard, outcome=ring.ended(workflow["p1"], JobState.DISCARDED, error="")),
                partial(cancel, workflow_id=workflow.id, name="d"),
            )
            assert (doomed, cancelled) in ((1, "cancelled"), (0, 1))
            assert await complete(ring.left, ring.done(workflow["p2"])[0])
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []


async def test_the_whole_workflow_and_one_step_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(diamond() for _ in range(ROUNDS)))

    async def whole(database: Store, workflow_id: UUID) -> int:
        effects = await cancel_workflow(database, workflow_id, "all", notify=True)
        assert effects is not None
        return len(effects.accepted)

    async with heard(dsn) as told:
        for workflow in workflows:
            all_of_it, one = await ring.together(
                partial(whole, workflow_id=workflow.id),
                partial(cancel, workflow_id=workflow.id, name="b1"),
            )
            assert (all_of_it, one) in ((4, "cancelled"), (2, 2))
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []


async def test_a_look_before_the_lock_settles_twice(ring: Arena) -> None:
    """Without the workflow's lock both sides find the step unsettled."""
    (workflow,) = await ring.insert(join())
    looks = partial(naive.settle_node_without_lock, job_id=workflow["d"], state="cancelled")
    race = await ring.in_order(looks, looks)
    assert (race.first, race.second) == (True, True)
