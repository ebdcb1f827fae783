"""A running step adds steps to its workflow, as part of its outcome."""

from __future__ import annotations

from typing import Any

import pytest

from baton import Baton, Cancel, Discard, Skip, Snooze, Step, SyncStep, worker
from baton.errors import InvalidOptionError, NotStorableError, StepError
from baton.words.events import StepDiscarded, WorkflowGrown
from support.apart import grows_apart
from support.running import running


@worker(name="grow.leaf")
async def leaf(step: Step, *, number: int = 0) -> int:
    return number


@worker(name="grow.total")
async def total(step: Step) -> Any:
    return await step.results()


@worker(name="grow.ends", max_attempts=1)
async def ends(step: Step, *, how: str) -> object:
    match how:
        case "skipped":
            return Skip()
        case "cancelled":
            return Cancel()
        case "discarded":
            return Discard()
        case _:
            return how


@worker(name="grow.lists", max_attempts=3, backoff=0)
async def lists(step: Step, *, count: int, first: str = "returns") -> str:
    for number in range(count):
        step.add(f"leaf-{number}", leaf.new(number=number), before=["join"])
    if first == "raises" and step.attempt == 1:
        raise ValueError("not yet")
    if first == "waits":
        await step.wait_for("go")
    return "listed"


@worker(name="grow.plain")
def plain(step: SyncStep) -> str:
    step.add("leaf-0", leaf.new(), before=["join"])
    return "listed"


def growing(job: Any) -> Baton:
    return Baton(workflow_name="grows").add("list", job).add("join", total.new(), deps=["list"])


@pytest.mark.parametrize("first", ["returns", "raises"])
async def test_what_a_step_adds_is_there_once_and_is_waited_for(dsn: str, first: str) -> None:
    flow = growing(lists.new(count=3, first=first))
    async with running(dsn) as run:
        completion = await run.workflow(flow)
        assert (completion.outcome, completion.total_count) == ("completed", 5)
        leaves = {f"leaf-{number}": number for number in range(3)}
        assert await flow.handle().result("join") == {"list": "listed", **leaves}
        (grown,) = run.events.of(WorkflowGrown)
        assert (grown.step, grown.added_count, grown.workflow_name) == ("list", 3, "grows")
        assert await run.tables.violations() == []


async def test_a_body_that_runs_again_after_its_wait_adds_once(dsn: str) -> None:
    flow = growing(lists.new(count=2, first="waits"))
    async with running(dsn) as run:
        await run.insert(flow)
        await run.tables.until(flow, "list", "suspended")
        assert list(await run.tables.states(flow)) == ["list", "join"]
        await flow.handle().send_event("go")
        await flow.completion(timeout=20)
        assert set(await run.tables.states(flow)) == {"list", "join", "leaf-0", "leaf-1"}
        assert len(run.events.of(WorkflowGrown)) == 1


@pytest.mark.parametrize("job", [plain.new(), grows_apart.new()])
async def test_steps_in_threads_and_processes_add_too(dsn: str, job: Any) -> None:
    flow = growing(job)
    async with running(dsn) as run:
        await run.workflow(flow)
        assert await flow.handle().result("join") == {"list": "listed", "leaf-0": 0}


@worker(name="grow.asks", max_attempts=2)
async def asks(step: Step, *, how: str) -> object:
    step.add("leaf", leaf.new())
    return {"skip": Skip(), "cancel": Cancel(), "discard": Discard(), "snooze": Snooze(3_000)}[how]


@pytest.mark.parametrize("how", ["skip", "cancel", "discard", "snooze"])
async def test_a_step_that_does_not_complete_adds_nothing(dsn: str, how: str) -> None:
    flow = Baton().add("asks", asks.new(how=how))
    async with running(dsn) as run:
        await run.insert(flow)
        state = {"snooze": "scheduled", "skip": "cancelled"}.get(how, f"{how}led")
        await run.tables.until(flow, "asks", state.replace("discardled", "discarded"))
        assert list(await run.tables.states(flow)) == ["asks"]


@worker(name="grow.below")
async def below(step: Step, *, flag: str) -> None:
    flags: dict[str, Any] = {flag: True} if flag else {}
    step.add("new", total.new(), deps=["done"], **flags)
    step.add("next", total.new(), deps=["new"])


@pytest.mark.parametrize(
    ("how", "flag", "settled"),
    [
        ("completed", "", "completed"),
        ("discarded", "", "cancelled"),
        ("cancelled", "", "cancelled"),
        ("discarded", "ignore_discarded", "completed"),
        ("cancelled", "ignore_cancelled", "completed"),
        ("skipped", "", "skipped"),
        ("skipped", "run_when_skipped", "completed"),
        ("cancelled", "on_failure", "completed"),
        ("completed", "on_failure", "skipped"),
    ],
)
async def test_what_settled_before_counts_as_it_settled(
    dsn: str, how: str, flag: str, settled: str
) -> None:
    flow = (
        Baton()
        .add("done", ends.new(how=how))
        .add(
            "grow",
            below.new(flag=flag),
            deps=["done"],
            ignore_cancelled=True,
            ignore_discarded=True,
            run_when_skipped=True,
        )
    )
    async with running(dsn) as run:
        completion = await run.workflow(flow)
        assert completion.total_count == 4
        rows = {row.name: row.settled for row in (await flow.handle().steps()).rows}
        assert (rows["new"], rows["next"]) == (settled, settled)
        assert await run.tables.violations() == []


@worker(name="grow.shapes")
async def shapes(step: Step) -> str:
    step.add("any", total.new(), any_of=["old", "leaf"])
    step.add("leaf", leaf.new(number=7), deps=[str(step.name)])
    step.add("when", leaf.new(), deps=["leaf"], when={"leaf": 7})
    step.add("unless", leaf.new(), deps=["leaf"], unless={"leaf": 7})
    step.wait("approval", any_of=["yes"], deps=["leaf"])
    step.wait("at-once", any_of=["yes"])
    return "shaped"


async def test_alternatives_conditions_waits_and_the_step_itself(dsn: str) -> None:
    flow = Baton().add("old", ends.new(how="discarded")).add("grow", shapes.new())
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(WorkflowGrown)
        await flow.handle().send_event("yes", 1)
        await flow.handle().send_event("yes", 2)
        await flow.completion(timeout=20)
        rows = {row.name: row.settled for row in (await flow.handle().steps()).rows}
        assert rows == {
            "old": "discarded",
            "grow": "completed",
            "any": "completed",
            "leaf": "completed",
            "when": "completed",
            "unless": "skipped",
            "approval": "completed",
            "at-once": "completed",
        }
        assert await run.tables.violations() == []


@worker(name="grow.again")
async def grow_again(step: Step, *, left: int) -> int:
    if left:
        step.add(f"deeper-{left}", grow_again.new(left=left - 1), before=["join"])
    return left


async def test_what_was_added_adds_more(dsn: str) -> None:
    flow = Baton().add("first", grow_again.new(left=5)).add("join", total.new(), deps=["first"])
    async with running(dsn) as run:
        completion = await run.workflow(flow)
        assert completion.total_count == 7
        deeper = {f"deeper-{left}": left - 1 for left in range(5, 0, -1)}
        assert await flow.handle().result("join") == {"first": 5, **deeper}


@worker(name="grow.wrong", max_attempts=5)
async def wrong(step: Step, *, how: str) -> None:
    step.add("fine", leaf.new())
    match how:
        case "taken":
            step.add("join", leaf.new())
        case "unknown":
            step.add("new", leaf.new(), deps=["lst"])
        case "cycle":
            step.add("new", leaf.new(), deps=["after"], before=["join"])
        case "own cycle":
            step.add("a", leaf.new(), deps=["b"])
            step.add("b", leaf.new(), deps=["a"])
        case "no target":
            step.add("new", leaf.new(), before=["joyn"])
        case "settled":
            step.add("new", leaf.new(), before=["old"])
        case "itself":
            step.add("new", leaf.new(), before=["lists"])
        case "new":
            step.add("a", leaf.new())
            step.add("new", leaf.new(), before=["a"])
        case "alternative":
            step.add("new", leaf.new(), before=["either"])
        case "released":
            step.add("new", leaf.new(), before=["later"])
        case _:
            step.add("new", leaf.new(), deps=["join"], before=["join"])


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("taken", "a step named 'join' was added already"),
        ("unknown", "step 'new' depends on 'lst', which is not a step"),
        ("cycle", "the steps form a cycle: 'after' -> 'new' -> 'join' -> 'after'"),
        ("own cycle", "the steps form a cycle: 'a' -> 'b' -> 'a'"),
        ("no target", "step 'new' cannot come before 'joyn', which is not a step"),
        ("settled", "step 'new' cannot come before 'old', which has settled as completed"),
        ("released", "step 'new' cannot come before 'later', which waits for no other step"),
        ("itself", "step 'new' cannot come before 'lists', which adds it"),
        ("new", "step 'new' cannot come before 'a', which is new too"),
        ("alternative", "step 'new' cannot come before 'either', which needs the step that adds"),
        ("both", "the steps form a cycle: 'join' -> 'new' -> 'join'"),
    ],
)
async def test_what_does_not_fit_discards_the_step_and_adds_nothing(
    dsn: str, how: str, error: str
) -> None:
    flow = (
        Baton()
        .add("old", leaf.new())
        .add("later", leaf.new(), schedule_in=3_000)
        .add("lists", wrong.new(how=how), deps=["old"])
        .add("join", leaf.new(), deps=["lists"])
        .add("after", leaf.new(), deps=["join"])
        .add("either", leaf.new(), any_of=["lists", "join"])
    )
    before = {"old", "later", "lists", "join", "after", "either"}
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepDiscarded, step="lists")
        row = await run.tables.step(flow, "lists")
        assert (row.state, row.attempt) == ("discarded", 1)
        assert error in row.error
        assert set(await run.tables.states(flow)) == before
        assert run.events.of(WorkflowGrown) == []
        assert await run.tables.violations() == []


async def test_a_thousand_steps_at_once(dsn: str) -> None:
    flow = growing(lists.new(count=1_000))
    async with running(dsn, queues={"default": 100}) as run:
        completion = await run.workflow(flow)
        assert (completion.outcome, completion.total_count) == ("completed", 1_002)
        found = await flow.handle().result("join")
        assert sum(found.get(f"leaf-{n}", 0) for n in range(1_000)) == sum(range(1_000))


@worker(name="grow.cycles")
async def cycles(step: Step) -> None:
    step.add("new", leaf.new(), deps=["last"], before=["middle"], ignore_cancelled=True)


async def test_a_cycle_through_what_has_settled_is_one(dsn: str) -> None:
    """A retry would have all of them wait for each other."""
    flow = (
        Baton()
        .add("first", leaf.new(), schedule_in=3_000)
        .add("grow", cycles.new(), deps=["first"])
        .add("middle", leaf.new(), deps=["grow"])
        .add("last", leaf.new(), deps=["middle"])
    )
    async with running(dsn) as run:
        await run.insert(flow)
        await flow.handle().cancel_step("last")
        await flow.handle().complete_step("first")
        await run.events.until(StepDiscarded, step="grow")
        assert "the steps form a cycle" in (await run.tables.step(flow, "grow")).error


@worker(name="grow.below-target")
async def below_target(step: Step) -> None:
    step.add("new", leaf.new(), before=["target"])


async def test_nothing_comes_before_what_the_adding_step_depends_on(dsn: str) -> None:
    flow = (
        Baton()
        .add("never", leaf.new(), schedule_in=3_000)
        .add("now", leaf.new())
        .add("target", leaf.new(), deps=["never"])
        .add("grow", below_target.new(), any_of=["target", "now"])
    )
    async with running(dsn) as run:
        await run.insert(flow)
        await run.events.until(StepDiscarded, step="grow")
        error = (await run.tables.step(flow, "grow")).error
        assert "cannot come before 'target', on which the step that adds it depends" in error


LATE: list[Step] = []


@worker(name="grow.careless")
async def careless(step: Step) -> int:
    with pytest.raises(InvalidOptionError):
        step.add("new", leaf.new(), before="join")
    with pytest.raises(NotStorableError):
        step.wait("new", any_of=["x"], prompt="\ud800")
    LATE.append(step)
    return 1


async def test_what_was_refused_at_once_is_not_added_and_nothing_later(dsn: str) -> None:
    flow = Baton().add("careless", careless.new())
    async with running(dsn) as run:
        completion = await run.workflow(flow)
        assert (completion.outcome, completion.total_count) == ("completed", 1)
        with pytest.raises(StepError, match="has returned"):
            LATE.pop().add("late", leaf.new())
