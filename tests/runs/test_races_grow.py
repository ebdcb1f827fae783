"""Races of steps that are added: they are there with the step that adds them, or not at all; the
workflow ends once, after them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import pytest

from baton import Baton
from baton.errors import BeforeError, DuplicateStepError, GraphError, WorkflowFinishedError
from baton.runs.actions import Told
from baton.runs.cancel import cancel_workflow
from baton.runs.extend import extend_workflow
from baton.runs.retry import asked, retry_workflow
from baton.settling.grow import settle_grown
from baton.store.store import Store
from baton.words.rows import Growth, NewStep, Outcome
from races.arena import ROUNDS, Arena, Workflow, arena, heard, noop, settle

TOLD = Told(None, None)


def new(name: str, *deps: str) -> NewStep:
    return NewStep(name, "races.noop", "{}", deps=deps)


MORE = Growth((new("x"), new("y", "x")), {"y": ("join",)}, "grow")
LOOSE = Growth((new("x"),))


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


def forked() -> Baton:
    return (
        Baton()
        .add("grow", noop.new())
        .add("other", noop.new())
        .add("join", noop.new(), deps=["grow", "other"])
    )


async def grow(database: Store, outcome: Outcome, growth: Growth = MORE) -> bool:
    """Whether the claim held."""
    effects, _ = await settle_grown(database, outcome, growth, notify=True)
    return bool(effects.accepted)


async def extend(database: Store, workflow_id: UUID, growth: Growth) -> str:
    """`added`, or why not."""
    try:
        await extend_workflow(database, workflow_id, growth, TOLD, notify=True)
    except (GraphError, WorkflowFinishedError) as error:
        return type(error).__name__
    return "added"


async def cancel(database: Store, workflow_id: UUID) -> int:
    effects = await cancel_workflow(database, workflow_id, "by request", notify=True)
    return -1 if effects is None else len(effects.accepted)


async def complete(database: Store, outcome: Outcome) -> bool:
    return (await settle(database, [outcome], notify=True)).stale == []


async def steps(ring: Arena, workflow: Workflow) -> dict[str, str | None]:
    rows = await ring.monitor.fetch(
        "SELECT name, state::text FROM baton.workflow_nodes WHERE workflow_id = $1", workflow.id
    )
    return dict(map(tuple, rows))


async def finish(ring: Arena) -> None:
    """Perform what is left, to the end."""
    while jobs := await ring.claim():
        await settle(ring.right, ring.done(*(job.id for job in jobs)), notify=True)


async def test_growth_and_cancel_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(forked() for _ in range(ROUNDS)))
    await ring.claim()
    seen: set[bool] = set()
    async with heard(dsn) as told:
        for workflow in workflows:
            (outcome,) = ring.done(workflow["grow"])
            grown, cancelled = await ring.together(
                partial(grow, outcome=outcome), partial(cancel, workflow_id=workflow.id)
            )
            found = await steps(ring, workflow)
            own = {"grow", "other", "join"}
            assert set(found) == (own | {"x", "y"} if grown else own)
            assert (found["grow"] == "completed") is grown
            assert None not in found.values()
            assert cancelled == (4 if grown else 3)
            seen.add(grown)
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []
    assert seen, "no round ran"


@pytest.mark.parametrize("growth", [MORE, LOOSE._replace(by="grow")])
async def test_growth_and_the_settlement_of_all_the_rest_at_once(
    ring: Arena, dsn: str, growth: Growth
) -> None:
    """The last dependency of `join` settles while `grow` adds another one."""
    workflows = await ring.insert(*(forked() for _ in range(ROUNDS)))
    await ring.claim()
    async with heard(dsn) as told:
        for workflow in workflows:
            grown, other = ring.done(workflow["grow"], workflow["other"])
            both = await ring.together(
                partial(grow, outcome=grown, growth=growth), partial(complete, outcome=other)
            )
            assert list(both) == [True, True]
        assert told == []
        rows = await ring.monitor.fetch(
            "SELECT pending, count(*)::integer AS n FROM baton.workflow_nodes "
            "WHERE name = 'join' GROUP BY pending"
        )
        assert [tuple(row) for row in rows] == [(1 if growth is MORE else 0, ROUNDS)]
        await finish(ring)
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []


async def test_the_last_step_grows(ring: Arena, dsn: str) -> None:
    """What settles and adds in two commits is seen between them: the workflow ends too early."""
    naive, right = await ring.insert(
        Baton().add("grow", noop.new()), Baton().add("grow", noop.new())
    )
    await ring.claim()
    async with heard(dsn) as told:
        (outcome,) = ring.done(naive["grow"])
        assert await complete(ring.left, outcome)
        assert await extend(ring.left, naive.id, LOOSE) == "WorkflowFinishedError"
        (outcome,) = ring.done(right["grow"])
        assert await grow(ring.left, outcome, LOOSE._replace(by="grow"))
        assert told == [str(naive.id)]
        await finish(ring)
    assert told == [str(naive.id), str(right.id)]
    assert set(await steps(ring, right)) == {"grow", "x"}
    assert await ring.violations() == []


async def test_extension_and_the_last_settlement_at_once(ring: Arena, dsn: str) -> None:
    workflows = await ring.insert(*(Baton().add("a", noop.new()) for _ in range(ROUNDS)))
    await ring.claim()
    added = 0
    async with heard(dsn) as told:
        for workflow in workflows:
            (outcome,) = ring.done(workflow["a"])
            completed, found = await ring.together(
                partial(complete, outcome=outcome),
                partial(extend, workflow_id=workflow.id, growth=LOOSE),
            )
            assert completed
            assert found in ("added", "WorkflowFinishedError")
            added += found == "added"
        ended = await ring.monitor.fetchval("SELECT count(*) FROM baton.workflow_completions")
        assert ended == ROUNDS - added
        await finish(ring)
    assert sorted(told) == sorted(str(workflow.id) for workflow in workflows)
    assert await ring.violations() == []


@pytest.mark.parametrize("first", ["settlement", "extension"])
async def test_extension_before_a_step_and_its_last_dependency(ring: Arena, first: str) -> None:
    (workflow,) = await ring.insert(forked())
    await ring.claim()
    grown, other = ring.done(workflow["grow"], workflow["other"])
    assert await complete(ring.left, grown)
    settlement = partial(complete, outcome=other)
    extension = partial(extend, workflow_id=workflow.id, growth=MORE._replace(by=None))
    if first == "settlement":
        refused = await ring.in_order(settlement, extension)
        assert refused == (True, BeforeError.__name__, True)
        assert set(await steps(ring, workflow)) == {"grow", "other", "join"}
    else:
        added = await ring.in_order(extension, settlement)
        assert added == ("added", True, True)
        assert (await ring.facts(workflow["join"])).pending == 1
    await finish(ring)
    assert None not in (await steps(ring, workflow)).values()
    assert await ring.violations() == []


async def test_extension_before_a_step_and_its_last_dependency_at_once(ring: Arena) -> None:
    workflows = await ring.insert(*(forked() for _ in range(ROUNDS)))
    await ring.claim()
    growth = MORE._replace(by=None)
    for workflow in workflows:
        grown, other = ring.done(workflow["grow"], workflow["other"])
        assert await complete(ring.left, grown)
        _, found = await ring.together(
            partial(complete, outcome=other),
            partial(extend, workflow_id=workflow.id, growth=growth),
        )
        pending = (await ring.facts(workflow["join"])).pending
        assert (found, pending) in (("added", 1), ("BeforeError", 0))
    await finish(ring)
    assert await ring.violations() == []


async def test_two_that_add_the_same_name_at_once(ring: Arena) -> None:
    workflows = await ring.insert(
        *(Baton().add("one", noop.new()).add("two", noop.new()) for _ in range(ROUNDS))
    )
    await ring.claim()

    async def try_to_grow(database: Store, outcome: Outcome) -> bool:
        try:
            return await grow(database, outcome, LOOSE)
        except DuplicateStepError:
            return False

    for workflow in workflows:
        one, two = ring.done(workflow["one"], workflow["two"])
        both = await ring.together(
            partial(try_to_grow, outcome=one), partial(try_to_grow, outcome=two)
        )
        assert sorted(both) == [False, True]
        assert sorted(await steps(ring, workflow)) == ["one", "two", "x"]
    assert await ring.violations() == []


async def test_growth_and_a_retry_that_interrupts_at_once(ring: Arena) -> None:
    workflows = await ring.insert(*(forked() for _ in range(ROUNDS)))
    await ring.claim()
    again = asked("failed", ["grow"], None, keep_memos=False, interrupt=True)

    async def retry(database: Store, workflow_id: UUID) -> int:
        retried, _ = await retry_workflow(database, workflow_id, again, TOLD, notify=True)
        return retried.steps

    for workflow in workflows:
        (outcome,) = ring.done(workflow["grow"])
        grown, retried = await ring.together(
            partial(grow, outcome=outcome), partial(retry, workflow_id=workflow.id)
        )
        # Whoever was first, what had been added is taken back, or was never added.
        assert retried == 2
        assert set(await steps(ring, workflow)) == {"grow", "other", "join"}
        facts = await ring.facts(workflow["join"])
        assert (facts.settled, facts.pending) == (None, 2)
        assert isinstance(grown, bool)
    assert await ring.violations() == []
