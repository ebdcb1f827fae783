"""Races of a deadline: with the last settlement, with a request, and with another process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import pytest

from baton.runs.cancel import cancel_workflow
from baton.runs.deadlines import cancel_overdue
from baton.store.store import Store
from baton.words.config import EngineSettings
from baton.words.rows import Outcome
from races.arena import ROUNDS, Arena, arena, heard, roots, settle

OVERDUE = (
    "INSERT INTO baton.workflow_deadlines SELECT id, now() - interval '1 s' FROM baton.workflows"
)


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def overdue(database: Store, workflow_id: UUID) -> bool:
    return await cancel_overdue(database, EngineSettings(name="timer"), workflow_id)


async def complete(database: Store, outcome: Outcome) -> bool:
    return (await settle(database, [outcome], notify=True)).stale == []


async def request(database: Store, workflow_id: UUID) -> int:
    effects = await cancel_workflow(database, workflow_id, "by request", notify=True)
    assert effects is not None
    return len(effects.accepted)


async def actions(ring: Arena) -> list[str]:
    rows = await ring.monitor.fetch("SELECT action FROM baton.baton_actions ORDER BY id")
    return [row["action"] for row in rows]


async def test_the_deadline_first(ring: Arena, dsn: str) -> None:
    """The settlement waits for it, and is stale."""
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    await ring.monitor.execute(OVERDUE)
    async with heard(dsn) as told:
        race = await ring.in_order(
            partial(overdue, workflow_id=workflow.id),
            partial(complete, outcome=ring.done(workflow["r1"])[0]),
        )
    assert race == (True, False, True)
    assert told == [str(workflow.id)]
    assert await ring.completions() == {workflow.id: "cancelled"}
    assert await ring.violations() == []


async def test_the_last_settlement_first(ring: Arena, dsn: str) -> None:
    """The timer passes it by, and finds afterwards that the workflow has ended in time."""
    (workflow,) = await ring.insert(roots(1))
    await ring.claim()
    await ring.monitor.execute(OVERDUE)
    async with heard(dsn) as told:
        race = await ring.in_order(
            partial(complete, outcome=ring.done(workflow["r1"])[0]),
            partial(overdue, workflow_id=workflow.id),
        )
        assert race == (True, False, False)
        assert await overdue(ring.left, workflow.id)
        assert not await overdue(ring.left, workflow.id)
    assert told == [str(workflow.id)]
    assert await ring.completions() == {workflow.id: "completed"}
    assert await actions(ring) == []


async def test_all_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    await ring.claim()
    await ring.monitor.execute(OVERDUE)
    expected: list[str] = []
    async with heard(dsn) as told:
        for workflow in workflows:
            accepted, _ = await ring.together(
                partial(complete, outcome=ring.done(workflow["r1"])[0]),
                partial(overdue, workflow_id=workflow.id),
            )
            expected.append("completed" if accepted else "cancelled")
    ended = await ring.completions()
    assert [ended[workflow.id] for workflow in workflows] == expected
    assert len(told) == len(set(told)) == ROUNDS
    assert await actions(ring) == ["deadline"] * expected.count("cancelled")
    assert await ring.violations() == []


async def test_with_a_request_and_another_timer(ring: Arena) -> None:
    workflows = await ring.insert(*(roots(1) for _ in range(ROUNDS)))
    await ring.monitor.execute(OVERDUE)
    for number, workflow in enumerate(workflows):
        other = request if number % 2 else overdue
        await ring.together(
            partial(overdue, workflow_id=workflow.id), partial(other, workflow_id=workflow.id)
        )
        await overdue(ring.left, workflow.id)
    assert set((await ring.completions()).values()) == {"cancelled"}
    assert len(await actions(ring)) == ROUNDS
    assert await ring.violations() == []
