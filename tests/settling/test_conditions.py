"""Conditions and alternatives: which steps run, which are skipped, and what follows below."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from baton import Baton, Step, WorkflowOutcome, send_event, worker
from baton.words.events import StepSkipped
from support.making import make
from support.running import Run, running
from support.waiting import eventually
from support.waits import until_waits


@worker
async def collect(step: Step) -> Any:
    return await step.results()


@pytest.fixture
async def run(dsn: str) -> AsyncIterator[Run]:
    async with running(dsn) as made:
        yield made


async def ended(run: Run, workflow: Baton) -> dict[str, str | None]:
    """Runs a workflow to its end; how its steps settled."""
    await run.workflow(workflow)
    page = await run.engine.workflow(workflow.workflow_id).steps()
    return {row.name: row.settled for row in page.rows}


async def error(run: Run, workflow: Baton, step: str) -> str | None:
    return (await run.tables.step(workflow, step)).error


YES = {"approved": True, "by": "ada", "amounts": [1, 2]}


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ({"approved": True}, True),
        ({"approved": True, "by": "ada"}, True),
        ({"approved": False}, False),
        ({"amounts": [2]}, True),
        ({"amounts": [3]}, False),
        ({}, True),
        (None, False),
        ("approved", False),
    ],
)
@pytest.mark.parametrize("option", ["when", "unless"])
async def test_a_condition_is_containment(
    run: Run, option: str, condition: Any, runs: bool
) -> None:
    workflow = (
        Baton()
        .add("check", make.new(value=YES))
        .add("act", collect.new(), deps=["check"], **{option: {"check": condition}})  # type: ignore[arg-type]
        .add("after", make.new(), deps=["act"])
    )
    met = runs is (option == "when")
    state = "completed" if met else "skipped"
    assert await ended(run, workflow) == {"check": "completed", "act": state, "after": state}


async def test_why_it_was_skipped_is_told(run: Run) -> None:
    workflow = (
        Baton()
        .add("check", make.new(value=YES))
        .add("pay", make.new(), deps=["check"], when={"check": {"approved": False}})
        .add("refund", make.new(), deps=["check"], unless={"check": {"approved": True}})
        .add("report", make.new(), deps=["pay"])
    )
    completion = await run.workflow(workflow)
    assert completion.outcome is WorkflowOutcome.COMPLETED
    assert completion.skipped_steps == ("pay", "refund", "report")
    says = (
        """its condition is not met: the result of 'check' does not contain {"approved": false}"""
    )
    (event,) = await run.events.until(StepSkipped, step="pay")
    assert event.error == await error(run, workflow, "pay") == says
    says = "it runs only unless the result of 'check' contains {\"approved\": true}, and it does"
    assert await error(run, workflow, "refund") == says
    says = "all its dependencies were skipped, the last of them 'pay'"
    assert await error(run, workflow, "report") == says
    why = await run.engine.insights.why(workflow.workflow_id, "pay")
    assert why.sentence.endswith("""does not contain {"approved": false}""")
    assert await run.tables.violations() == []


async def test_of_several_all_have_to_contain_it(run: Run) -> None:
    workflow = Baton().add("a", make.new(value={"x": 1})).add("b", make.new(value={"x": 2}))
    both = ["a", "b"]
    for name, when in (("same", {"a": {"x": 1}, "b": {"x": 2}}), ("one", {"a": {"x": 1}})):
        workflow.add(f"when {name}", make.new(), deps=both, when=when)
        workflow.add(f"unless {name}", make.new(), deps=both, unless=when)
    workflow.add("when not", make.new(), deps=both, when={"a": {"x": 1}, "b": {"x": 1}})
    workflow.add("unless not", make.new(), deps=both, unless={"a": {"x": 1}, "b": {"x": 1}})
    workflow.add("and", make.new(), deps=both, when={"a": {"x": 1}}, unless={"b": {"x": 2}})
    states = await ended(run, workflow)
    assert {name for name, state in states.items() if state == "skipped"} == {
        "unless same",
        "unless one",
        "when not",
        "and",
    }


@pytest.mark.parametrize("ends", ["", "cancelled", "discarded", "skipped"])
async def test_on_failure(run: Run, ends: str) -> None:
    workflow = (
        Baton()
        .add("a", make.new(ends=ends))
        .add("b", make.new())
        .add("mend", collect.new(), deps=["a", "b"], on_failure=True)
        .add("after", make.new(), deps=["mend"], run_when_skipped=True)
    )
    states = await ended(run, workflow)
    assert states["mend"] == ("completed" if ends in ("cancelled", "discarded") else "skipped")
    assert states["after"] == "completed"


async def test_a_failure_dooms_a_step_whose_condition_is_not_reached(run: Run) -> None:
    workflow = (
        Baton()
        .add("check", make.new(ends="discarded"))
        .add("act", make.new(), deps=["check"], when={"check": 1})
        .add("all the same", make.new(), deps=["check"], unless={"check": 1}, ignore_discarded=True)
        .add("never", make.new(), deps=["check"], when={"check": None}, ignore_discarded=True)
    )
    assert await ended(run, workflow) == {
        "check": "discarded",
        "act": "cancelled",
        "all the same": "completed",
        "never": "skipped",
    }


async def test_a_wait_step_with_a_condition(run: Run) -> None:
    workflow = (
        Baton()
        .add("check", make.new(value=7))
        .wait("asked", any_of=["yes"], deps=["check"], when={"check": 7})
        .wait("not asked", any_of=["yes"], deps=["check"], when={"check": 8})
        .add("after", make.new(), deps=["asked", "not asked"])
    )
    await run.insert(workflow)
    await run.events.until(StepSkipped, step="not asked")
    await until_waits(run.tables, workflow)
    handle = run.engine.workflow(workflow.workflow_id)
    await handle.send_event("yes", "ok")
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("not asked",)
    assert (await handle.result("asked"))["events"] == {"yes": "ok"}


async def test_what_an_event_settles_decides_conditions_below(run: Run) -> None:
    workflow = (
        Baton()
        .wait("asked", any_of=["yes", "no"])
        .add("pay", make.new(), deps=["asked"], when={"asked": {"winner": "yes"}})
        .add("refuse", make.new(), deps=["asked"], when={"asked": {"winner": "no"}})
        .add("book", make.new(), deps=["pay"])
    )
    await run.insert(workflow)
    handle = run.engine.workflow(workflow.workflow_id)
    await handle.send_event("no")
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("pay", "book")
    assert len(await run.events.until(StepSkipped, 2)) == 2


async def test_an_event_may_end_a_workflow_whose_last_steps_it_has_skipped(run: Run) -> None:
    workflow = Baton().wait("asked", any_of=["yes", "no"], correlation_key="k")
    workflow.add("pay", make.new(), deps=["asked"], when={"asked": {"winner": "yes"}})
    await run.insert(workflow)
    await send_event(None, "no", correlation_key="k", engine=run.engine)
    completion = await run.end(workflow)
    assert completion.skipped_steps == ("pay",)
    assert len(await run.events.until(StepSkipped)) == 1


async def test_a_long_chain_of_skipped_steps(run: Run) -> None:
    workflow = Baton().add("0", make.new(value=0))
    workflow.add("1", make.new(), deps=["0"], when={"0": 1})
    for number in range(2, 1_000):
        workflow.add(str(number), make.new(), deps=[str(number - 1)])
    completion = await run.workflow(workflow)
    assert len(completion.skipped_steps) == 999


ENDS = ["", "cancelled", "discarded", "skipped"]


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
async def test_alternatives(run: Run, first: str, second: str) -> None:
    workflow = Baton().add("a", make.new(ends=first)).add("b", make.new(ends=second))
    workflow.add("any", collect.new(), any_of=["a", "b"])
    workflow.add("ignores", collect.new(), any_of=["a", "b"], ignore_cancelled=True)
    workflow.add("below", make.new(), deps=["any"])
    workflow.add("always", make.new(), any_of=["a", "b"], run_when_skipped=True)
    states = await ended(run, workflow)
    ends = {first, second}
    expected = "cancelled"
    if "" in ends:
        expected = "completed"
    elif "skipped" in ends:
        expected = "skipped"
    assert states["any"] == states["below"] == expected
    assert states["ignores"] == ("completed" if "cancelled" in ends else expected)
    assert states["always"] == ("completed" if expected == "skipped" else expected)
    if expected != "completed":
        last = await error(run, workflow, "any")
        assert last is not None
        assert last.startswith("none of its alternatives was completed, the last of them '")
    assert await run.tables.violations() == []


async def test_the_first_alternative_is_enough_and_the_others_go_on(run: Run) -> None:
    workflow = (
        Baton()
        .add("fast", make.new(value=1))
        .wait("slow", any_of=["come"])
        .add("needed", make.new(value=2))
        .add("any", collect.new(), deps=["needed"], any_of=["fast", "slow"])
        .add("after", make.new(), deps=["any"])
    )
    await run.insert(workflow)
    handle = run.engine.workflow(workflow.workflow_id)

    async def is_done() -> bool:
        page = await handle.steps()
        return {row.name: row.settled for row in page.rows}["after"] == "completed"

    await eventually(is_done)
    assert await handle.result("any") == {"needed": 2, "fast": 1}
    why = await run.engine.insights.why(workflow.workflow_id, "slow")
    assert why.settled is None
    await handle.send_event("come")
    completion = await run.end(workflow)
    assert completion.skipped_steps == ()
    assert await run.tables.violations() == []


async def test_a_step_tells_that_it_waits_for_alternatives(run: Run) -> None:
    workflow = (
        Baton()
        .wait("a", any_of=["x"])
        .wait("b", any_of=["y"])
        .wait("c", any_of=["z"])
        .add("any", make.new(), any_of=["a", "b"])
        .add("both", make.new(), deps=["c"], any_of=["a", "b"])
    )
    await run.insert(workflow)
    any_of = "one of its alternatives: 'a' is suspended, 'b' is suspended"
    why = await run.engine.insights.why(workflow.workflow_id, "any")
    assert why.sentence == f"step 'any' waits for {any_of}"
    assert [d.name for d in why.dependencies] == ["a", "b"]
    why = await run.engine.insights.why(workflow.workflow_id, "both")
    needed = "step 'both' waits for dependencies (3 of 3): 'c' is suspended, and for "
    assert why.sentence == needed + any_of
