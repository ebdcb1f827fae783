"""Races of a retry: each run is announced once, no step is lost, the counts agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from baton import Baton
from baton.errors import NothingToRetryError, UnknownWorkflowError
from baton.runs.actions import Told
from baton.runs.cancel import cancel_workflow
from baton.runs.fork import asked_fork, fork_workflow
from baton.runs.retry import asked, retry_workflow
from baton.settling.settle_failures import settle_failures
from baton.store.pruning import prune_workflows
from baton.store.resetting import Resetting
from baton.store.settlement import Course
from baton.store.store import Store
from baton.words.rows import Outcome
from baton.words.states import JobState
from races.arena import ROUNDS, Arena, arena, heard, noop, settle


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


async def retry(database: Store, workflow_id: UUID, mode: str = "failed") -> int | str:
    """Retry; the run that goes on, or why nothing was done."""
    options = asked(mode, None, None, keep_memos=False, interrupt=False)
    try:
        done, _ = await retry_workflow(
            database, workflow_id, options, Told(None, None), notify=True
        )
    except (NothingToRetryError, UnknownWorkflowError) as error:
        return type(error).__name__
    return done.run


async def cancel(database: Store, workflow_id: UUID) -> int:
    effects = await cancel_workflow(database, workflow_id, "by request", notify=True)
    assert effects is not None
    return len(effects.accepted)


async def complete(database: Store, outcome: Outcome, room: int = 0) -> bool:
    return (await settle(database, [outcome], room=room, notify=True)).stale == []


def half() -> Baton:
    """x fails at once, y runs on; z follows both."""
    flow = Baton().add("x", noop.new()).add("y", noop.new())
    return flow.add("z", noop.new(), deps=["x", "y"], ignore_discarded=True)


async def half_failed(ring: Arena, count: int) -> list[Any]:
    workflows = await ring.insert(*(half() for _ in range(count)))
    await ring.claim()
    failed = [ring.ended(w["x"], JobState.DISCARDED, error="no") for w in workflows]
    await settle_failures(ring.right, failed, notify=False)
    return workflows


async def ends(ring: Arena) -> None:
    """Perform whatever can be performed, until nothing is left."""
    while await ring.claim():
        rows = await ring.monitor.fetch("SELECT id FROM baton.oban_jobs WHERE state = 'executing'")
        held = [row["id"] for row in rows]
        await settle(ring.right, ring.done(*held), notify=True)


async def runs(ring: Arena) -> dict[UUID, int]:
    """How many completions each workflow has, and that they are those of its runs."""
    rows = await ring.monitor.fetch(
        "SELECT w.id, w.run, array_agg(c.run ORDER BY c.run) AS ended"
        " FROM baton.workflows w JOIN baton.workflow_completions c ON c.workflow_id = w.id"
        " GROUP BY w.id, w.run"
    )
    assert all(row["ended"] == list(range(1, row["run"] + 1)) for row in rows)
    return {row["id"]: row["run"] for row in rows}


async def test_the_settlement_first(ring: Arena) -> None:
    """Of a workflow of two steps: its last settlement ends the run, and the retry begins the
    next.
    """
    (workflow,) = await ring.insert(Baton().add("x", noop.new()).add("y", noop.new()))
    await ring.claim()
    failed = ring.ended(workflow["x"], JobState.DISCARDED, error="no")
    await settle_failures(ring.right, [failed], notify=False)
    race = await ring.in_order(
        partial(complete, outcome=ring.done(workflow["y"])[0]),
        partial(retry, workflow_id=workflow.id),
    )
    assert race == (True, 2, True)
    await ends(ring)
    assert await runs(ring) == {workflow.id: 2}
    assert await ring.violations() == []


async def test_the_retry_first(ring: Arena) -> None:
    (workflow,) = await ring.insert(Baton().add("x", noop.new()).add("y", noop.new()))
    await ring.claim()
    failed = ring.ended(workflow["x"], JobState.DISCARDED, error="no")
    await settle_failures(ring.right, [failed], notify=False)
    race = await ring.in_order(
        partial(retry, workflow_id=workflow.id),
        partial(complete, outcome=ring.done(workflow["y"])[0]),
    )
    assert race == (1, True, True)
    await ends(ring)
    assert await runs(ring) == {workflow.id: 1}
    assert await ring.violations() == []


async def test_retry_settlement_and_cancel_at_once(ring: Arena, dsn: str) -> None:
    workflows = await half_failed(ring, ROUNDS)
    async with heard(dsn) as told:
        for number, workflow in enumerate(workflows):
            other: Any = (
                partial(complete, outcome=ring.done(workflow["y"])[0])
                if number % 2
                else partial(cancel, workflow_id=workflow.id)
            )
            first = partial(retry, workflow_id=workflow.id)
            pair = (first, other) if number % 4 < 2 else (other, first)
            await ring.together(*pair)
        await ends(ring)
        ended = await runs(ring)
    assert ended.keys() == {workflow.id for workflow in workflows}
    assert Counter(told) == {str(workflow_id): run for workflow_id, run in ended.items()}
    assert await ring.violations() == []


async def test_two_retries_at_once_are_one(ring: Arena) -> None:
    for workflow in await half_failed(ring, ROUNDS):
        again = partial(retry, workflow_id=workflow.id)
        assert sorted(map(str, await ring.together(again, again))) == ["1", "NothingToRetryError"]
    await ends(ring)
    assert set((await runs(ring)).values()) == {1}


async def test_without_the_lock_two_retries_count_a_step_twice(
    ring: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unlocked(self: Resetting, workflow_id: UUID) -> Course | None:
        rows = await self._connection.fetch(
            self._sql("lock_course").replace("FOR NO KEY UPDATE", ""), workflow_id
        )
        return Course(*rows[0])

    async def nothing(self: Resetting, job_ids: Any) -> dict[int, JobState]:
        return dict.fromkeys(job_ids, JobState.DISCARDED)

    monkeypatch.setattr(Resetting, "lock_course", unlocked)
    monkeypatch.setattr(Resetting, "lock_jobs", nothing)
    (workflow,) = await half_failed(ring, 1)
    again = partial(retry, workflow_id=workflow.id)
    with pytest.raises(Exception, match="workflows_counts"):
        await ring.in_order(again, again)


async def prune(database: Store, workflow_id: UUID) -> int:
    return (await prune_workflows(database, [workflow_id], 1_000)).workflows


async def test_retry_and_prune_at_once(ring: Arena) -> None:
    """Either it is retried whole, or it is gone whole."""
    workflows = await ring.insert(*(Baton().add("x", noop.new()) for _ in range(ROUNDS)))
    await ring.claim()
    failed = [ring.ended(w["x"], JobState.DISCARDED, error="no") for w in workflows]
    await settle_failures(ring.right, failed, notify=False)
    await ring.monitor.execute("DELETE FROM baton.oban_jobs")
    seen: Counter[Any] = Counter()
    for number, workflow in enumerate(workflows):
        pair: Any = (
            partial(retry, workflow_id=workflow.id),
            partial(prune, workflow_id=workflow.id),
        )
        found = await ring.together(*(pair if number % 2 else pair[::-1]))
        retried, pruned = found if number % 2 else found[::-1]
        assert (retried, pruned) in [(2, 0), ("UnknownWorkflowError", 1)]
        seen[retried] += 1
    await ends(ring)
    assert len(await runs(ring)) == seen[2]
    assert await ring.violations() == []


async def fork(database: Store, workflow_id: UUID) -> str:
    options = asked_fork(None, None, None)
    try:
        await fork_workflow(database, workflow_id, uuid4(), options, Told(None, None), notify=True)
    except UnknownWorkflowError:
        return "gone"
    return "forked"


async def test_fork_and_prune_at_once(ring: Arena) -> None:
    """Either the fork has everything, or there is none."""
    workflows = await ring.insert(*(half() for _ in range(ROUNDS)))
    await ends(ring)
    await ring.monitor.execute("DELETE FROM baton.oban_jobs")
    seen: Counter[Any] = Counter()
    for number, workflow in enumerate(workflows):
        pair: Any = (
            partial(fork, workflow_id=workflow.id),
            partial(prune, workflow_id=workflow.id),
        )
        found = await ring.together(*(pair if number % 2 else pair[::-1]))
        forked, pruned = found if number % 2 else found[::-1]
        # A fork that came first leaves the source to the pruner.
        assert (forked, pruned) in [("forked", 0), ("forked", 1), ("gone", 1)]
        seen[forked] += 1
    await ends(ring)
    forks = "SELECT count(*) FROM baton.workflows WHERE forked_from IS NOT NULL AND outstanding = 0"
    assert await ring.monitor.fetchval(forks) == seen["forked"]
    assert await ring.violations() == []
