"""Conditions and alternatives of steps that are begun anew, taken over, paused or ended by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from baton import Baton
from baton.errors import FailedDependencyError
from support.making import make
from support.running import Run, running
from support.waiting import eventually


@pytest.fixture
async def run(dsn: str) -> AsyncIterator[Run]:
    async with running(dsn) as made:
        yield made


async def settled(run: Run, workflow: Any) -> dict[str, str | None]:
    page = await run.engine.workflow(workflow.workflow_id).steps()
    return {row.name: row.settled for row in page.rows}


def branching() -> Baton:
    return (
        Baton()
        .add("check", make.new(value=1))
        .add("one", make.new(), deps=["check"], when={"check": 1})
        .add("two", make.new(), deps=["check"], when={"check": 2})
        .add("join", make.new(), any_of=["one", "two"])
    )


async def test_a_retry_decides_again(run: Run) -> None:
    workflow = branching()
    await run.workflow(workflow)
    before = {"check": "completed", "one": "completed", "two": "skipped", "join": "completed"}
    assert await settled(run, workflow) == before
    handle = run.engine.workflow(workflow.workflow_id)
    await handle.retry(steps=["check"], args={"check": {"value": 2}})
    await run.end(workflow)
    after = {"check": "completed", "one": "skipped", "two": "completed", "join": "completed"}
    assert await settled(run, workflow) == after
    assert await run.tables.violations() == []


async def test_a_retry_of_a_skipped_step_alone_decides_at_once(run: Run) -> None:
    workflow = branching()
    await run.workflow(workflow)
    handle = run.engine.workflow(workflow.workflow_id)
    await handle.retry(steps=["two"])
    completion = await run.end(workflow)
    assert (completion.run, completion.skipped_steps) == (2, ("two",))
    # What depends on it was begun anew, and one of its alternatives had stayed.
    assert (await settled(run, workflow))["join"] == "completed"
    assert await run.tables.violations() == []


async def test_an_alternative_that_is_retried_holds_nothing_up_that_has_another(run: Run) -> None:
    workflow = (
        Baton()
        .add("a", make.new())
        .add("b", make.new(ends="discarded"))
        .wait("slow", any_of=["go"])
        .add("any", make.new(), any_of=["a", "b"])
        .add("last", make.new(), deps=["slow"], any_of=["b", "a"])
        .wait("open", any_of=["never"])
    )
    await run.insert(workflow)

    async def is_done() -> bool:
        states = await settled(run, workflow)
        return (states["b"], states["any"]) == ("discarded", "completed")

    await eventually(is_done)
    handle = run.engine.workflow(workflow.workflow_id)
    await handle.retry(args={"b": {"ends": "discarded"}})

    async def is_done_again() -> bool:
        return (await settled(run, workflow))["b"] == "discarded"

    await eventually(is_done_again)
    await handle.send_event("go")

    async def is_last() -> bool:
        return (await settled(run, workflow))["last"] == "completed"

    await eventually(is_last)
    assert await run.tables.violations() == []


async def test_all_failed_alternatives_doom_a_retried_step(run: Run) -> None:
    workflow = (
        Baton()
        .add("a", make.new(ends="discarded"))
        .add("b", make.new(ends="discarded"))
        .add("any", make.new(value="done"), any_of=["a", "b"])
    )
    await run.workflow(workflow)
    handle = run.engine.workflow(workflow.workflow_id)
    with pytest.raises(FailedDependencyError, match="'any'"):
        await handle.retry(steps=["any"])
    await handle.retry(args={"b": {"ends": ""}})
    completion = await run.end(workflow)
    assert completion.failed_steps == ("a",)
    assert await handle.result("any") == "done"


async def test_completing_one_alternative_by_hand_begins_what_they_had_doomed(run: Run) -> None:
    workflow = (
        Baton()
        .add("a", make.new(ends="discarded"))
        .add("b", make.new(ends="discarded"))
        .add("any", make.new(), any_of=["a", "b"])
        .add("both", make.new(), deps=["a", "b"])
        .add("below", make.new(), deps=["any"])
    )
    await run.workflow(workflow)
    handle = run.engine.workflow(workflow.workflow_id)
    await handle.complete_step("b", 1)
    completion = await run.end(workflow)
    assert completion.failed_steps == ("a", "both")
    states = await settled(run, workflow)
    assert (states["any"], states["below"]) == ("completed", "completed")
    assert await run.tables.violations() == []


async def test_completing_a_step_by_hand_decides_conditions(run: Run) -> None:
    workflow = (
        Baton()
        .wait("check", any_of=["never"])
        .add("one", make.new(), deps=["check"], when={"check": 1})
        .add("two", make.new(), deps=["check"], when={"check": 2})
    )
    await run.insert(workflow)
    await run.engine.workflow(workflow.workflow_id).complete_step("check", 2)
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("one",)


@pytest.mark.parametrize("from_steps", [["one", "two"], ["join"], ["check"], None])
async def test_a_fork_takes_conditions_and_alternatives_along(
    run: Run, from_steps: list[str] | None
) -> None:
    workflow = branching()
    await run.workflow(workflow)
    fork = await run.engine.workflow(workflow.workflow_id).fork(from_steps=from_steps)
    completion = await fork.completion(timeout=20)
    assert completion.skipped_steps == ("two",)
    assert await settled(run, fork) == await settled(run, workflow)
    assert await run.tables.violations() == []
    again = await fork.retry(steps=["check"], args={"check": {"value": 2}})
    assert (await fork.completion(run=again.run, timeout=20)).skipped_steps == ("one",)
    assert await run.tables.violations() == []


async def test_nothing_is_decided_while_a_workflow_is_paused(run: Run) -> None:
    workflow = (
        Baton()
        .wait("check", any_of=["yes"])
        .add("one", make.new(), deps=["check"], when={"check": {"winner": "no"}})
        .add("two", make.new(), deps=["check"], when={"check": {"winner": "yes"}})
        .wait("three", any_of=["on"], deps=["check"], when={"check": {"winner": "yes"}})
        .add("four", make.new(), any_of=["check", "one"])
    )
    await run.insert(workflow)
    handle = run.engine.workflow(workflow.workflow_id)
    await handle.pause("look")
    await handle.send_event("yes")

    async def is_in() -> bool:
        return (await settled(run, workflow))["check"] == "completed"

    await eventually(is_in)
    states = await settled(run, workflow)
    assert {states[name] for name in ("one", "two", "three", "four")} == {None}
    assert await run.tables.violations() == []
    await handle.resume()
    await handle.send_event("on")
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("one",)
    assert await run.tables.violations() == []


async def test_a_step_moved_by_hand_before_its_condition_is_decided_asks_its_gate(run: Run) -> None:
    """It is performed by nobody while it is undecided, and then the gate skips it."""
    workflow = (
        Baton()
        .wait("check", any_of=["yes"])
        .add("act", make.new(), deps=["check"], when={"check": {"winner": "no"}})
    )
    await run.insert(workflow)
    await run.tables.change(workflow, "act", state="'available'")
    run.engine.queue("default").resume()
    row = await run.tables.until(workflow, "act", "suspended")
    assert row.settled is None
    await run.engine.workflow(workflow.workflow_id).send_event("yes")
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("act",)
    assert await run.tables.violations() == []


async def broken_branch(run: Run) -> Baton:
    """A branch fails, the other one was skipped, and so the join was."""
    workflow = (
        Baton()
        .add("check", make.new(value=1))
        .add("one", make.new(ends="discarded"), deps=["check"], when={"check": 1})
        .add("two", make.new(), deps=["check"], when={"check": 2})
        .add("join", make.new(), any_of=["one", "two"])
        .add("after", make.new(), deps=["join"])
        .add("told", make.new(), deps=["one"], when={"one": {}}, ignore_discarded=True)
        .add("own", make.new(ends="skipped"), deps=["one"], ignore_discarded=True)
    )
    completion = await run.workflow(workflow)
    assert completion.failed_steps == ("one",)
    assert completion.skipped_steps == ("two", "join", "after", "told", "own")
    return workflow


async def test_a_retry_of_what_failed_decides_again_what_was_skipped_below(run: Run) -> None:
    workflow = await broken_branch(run)
    handle = run.engine.workflow(workflow.workflow_id)
    retried = await handle.retry(args={"one": {"ends": "", "value": {}}})
    assert retried.steps == 4
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("two", "own")
    assert await run.tables.violations() == []


async def test_completing_a_failed_step_decides_again_what_was_skipped_below(run: Run) -> None:
    workflow = await broken_branch(run)
    handle = run.engine.workflow(workflow.workflow_id)
    await handle.complete_step("one", {"by": "hand"})
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("two", "own")
    assert await run.tables.violations() == []


async def test_what_hangs_on_another_result_is_decided_again_and_not_stranded(run: Run) -> None:
    """The completed step is one of its alternatives, beside one that is enough."""
    workflow = (
        Baton()
        .add("a", make.new(ends="discarded"))
        .add("b", make.new(), deps=["a"])
        .add("c", make.new(value=2))
        .add("d", make.new(), deps=["c"], any_of=["a", "b"], when={"c": 1}, ignore_discarded=True)
        .wait("own", any_of=["never"], deps=["a"], when={"a": 1})
    )
    completion = await run.workflow(workflow)
    assert completion.failed_steps == ("a", "b", "own")
    handle = run.engine.workflow(workflow.workflow_id)
    # Its own condition is not asked.
    await handle.complete_step("own", 1)
    await handle.complete_step("b", 1)
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("d",)
    assert completion.failed_steps == ("a",)
    assert await run.tables.violations() == []
