"""The input of a workflow, which its steps take, and its declared output."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from baton import Baton, Discard, Skip, Step, SyncStep, worker
from baton.errors import (
    ForeignReferenceError,
    InputTypeError,
    InvalidNameError,
    NoInputError,
    NoOutputError,
    NoResultError,
    NotStorableError,
    ReferenceTypeError,
    TooLargeError,
    UnknownFieldError,
    UnknownOutputError,
    UnknownWorkflowError,
    WorkflowInsertedError,
)
from support.running import running

seen: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def fresh() -> None:
    seen.clear()


class Order(BaseModel):
    customer: str
    sizes: list[int] = []


ORDER = Order(customer="ada", sizes=[3, 4])


@worker(name="io.take")
def take(step: SyncStep, *, word: str = "", numbers: list[int] = [], any: Any = None) -> str:  # noqa: B006
    seen[str(step.name)] = (word, numbers, any)
    return word


@worker(name="io.read")
async def read(step: Step, *, typed: bool = True) -> Any:
    seen["read"] = await step.input(Order) if typed else await step.input()
    return seen["read"]


@worker(name="io.read_wrong")
async def read_wrong(step: Step) -> str:
    try:
        await step.input(list[int])
    except (InputTypeError, NoInputError) as error:
        return str(error)
    return ""


@worker(name="io.plain")
def plain(step: SyncStep) -> str:
    return str(getattr(step, "input", "none"))


@worker(name="io.end")
async def end(step: Step, *, skip: bool) -> Discard | Skip:
    return Skip() if skip else Discard()


async def test_steps_take_and_read_the_input(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton(input=ORDER)
        given = flow.input_as(Order)
        a = flow.step("a", take.new(word=given.customer, numbers=[given.sizes[-1], 1]))
        flow.add("b", take.new(word=a.output, any=[flow.input, flow.input.sizes, {"$a": 1}]))
        flow.add("read", read.new()).add("wrong", read_wrong.new()).add("plain", plain.new())
        await run.completed(flow)
        assert seen == {
            "a": ("ada", [4, 1], None),
            "b": ("ada", [], [{"customer": "ada", "sizes": [3, 4]}, [3, 4], {"$a": 1}]),
            "read": ORDER,
        }
        wrong = await flow.handle().result("wrong", str)
        assert wrong.startswith("the input of the workflow is not a list")
        assert await flow.handle().result("plain") == "none"
        detail = await flow.handle().status()
        assert (detail.input, detail.output_step) == ({"customer": "ada", "sizes": [3, 4]}, None)


@pytest.mark.parametrize("value", [0, "", [], {"$result": "a", "$$b": [None]}, False, 1e16])
async def test_any_json_is_an_input(dsn: str, value: Any) -> None:
    async with running(dsn) as run:
        flow = Baton(input=value)
        flow.add("a", take.new(any=flow.input)).add("read", read.new(typed=False))
        await run.completed(flow)
        assert (seen["a"][-1], seen["read"]) == (value, value)


async def test_a_workflow_without_an_input_says_so(dsn: str) -> None:
    flow = Baton().add("wrong", read_wrong.new())
    for call in (lambda: flow.input, lambda: flow.input_as(Order)):
        with pytest.raises(NoInputError, match="has no input: one is given as"):
            call()
    async with running(dsn) as run:
        await run.completed(flow)
        assert "has no input" in await flow.handle().result("wrong")
        assert (await flow.handle().status()).input is None


async def test_an_input_that_vanished_discards_what_takes_it(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton(input=ORDER, output="a")
        flow.add("a", take.new(any=flow.input), schedule_in=3600)
        flow.add("b", take.new(any=flow.input.sizes[7]))
        await run.insert(flow)
        row = await run.tables.until(flow, "b", "discarded")
        assert "takes the workflow's input at '/sizes/7' as an argument: at '/sizes' is a list" in (
            row.error
        )
        await run.tables.execute("UPDATE baton.workflows SET input = NULL")
        await run.tables.change(flow, "a", scheduled_at="timezone('UTC', clock_timestamp())")
        completion = await run.end(flow)
        assert completion.output is None
        row = await run.tables.step(flow, "a")
        assert "takes the workflow's input as an argument: the workflow was given none" in row.error


def test_an_input_is_checked_when_it_is_given() -> None:
    with pytest.raises(NotStorableError, match="the input of the workflow"):
        Baton(input=object())
    with pytest.raises(TooLargeError, match="the input of the workflow"):
        Baton(input="x" * 1_048_576)
    flow = Baton(input={"customer": "ada", "sizes": ["many"]})
    with pytest.raises(InputTypeError, match=r"not a Order: sizes\.0: Input should be"):
        flow.input_as(Order)
    given = Baton(input=ORDER).input_as(Order)
    wrong: Any = given
    with pytest.raises(UnknownFieldError, match="did you mean 'customer'"):
        wrong.costumer  # noqa: B018
    with pytest.raises(ReferenceTypeError, match=r"<the workflow's input at '/sizes'> is list"):
        take.new(word=wrong.sizes)
    with pytest.raises(ForeignReferenceError, match=r"<the workflow's input>"):
        flow.add("a", take.new(any=given))


async def test_the_output_is_the_result_of_the_declared_step(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton(output="b").add("a", take.new(), schedule_in=3600)
        flow.add("b", take.new(word="x"))
        await run.insert(flow)
        await run.tables.until(flow, "b", "completed")
        assert await flow.handle().output(str) == "x"
        await run.tables.change(flow, "a", scheduled_at="timezone('UTC', clock_timestamp())")
        assert (await run.end(flow)).output == "x"
        detail = await flow.handle().status()
        assert detail.output_step == "b"
        assert detail.completion is not None
        assert detail.completion.output == "x"
        again = await flow.handle().fork(args={"b": {"word": "y"}})
        assert (await again.completion()).output == "y"
        await again.retry(steps=["b"], args={"b": {"word": "z"}})
        assert (await again.completion()).output == "z"
        assert (await again.completion(run=1)).output == "y"
        hash(await again.completion())


@pytest.mark.parametrize("skip", [True, False])
async def test_an_output_step_without_a_result_has_none(dsn: str, skip: bool) -> None:
    async with running(dsn) as run:
        flow = Baton()
        flow.output = flow.step("a", end.new(skip=skip))
        assert (await run.workflow(flow)).output is None
        with pytest.raises(NoResultError, match="skipped" if skip else "discarded"):
            await flow.handle().output()


async def test_a_fork_takes_input_and_output_over(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton(input={"customer": "ada"}, output="b")
        flow.add("a", take.new(word=flow.input.customer))
        flow.add("b", take.new(word=flow.input.customer), deps=["a"])
        await run.completed(flow)
        seen.clear()
        fork = await flow.handle().fork(["b"])
        assert (await fork.completion()).output == "ada"
        assert seen == {"b": ("ada", [], None)}
        detail = await fork.status()
        assert (detail.input, detail.output_step) == ({"customer": "ada"}, "b")


async def test_what_has_no_output(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", take.new())
        assert flow.output is None
        assert (await run.completed(flow)).output is None
        with pytest.raises(NoOutputError, match="has no declared output"):
            await flow.handle().output()
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(Baton().workflow_id).output()
        with pytest.raises(WorkflowInsertedError):
            flow.output = "a"


async def test_an_output_is_a_step_of_this_workflow(dsn: str) -> None:
    flow = Baton(output="later").add("a", take.new())
    other = Baton().step("later", take.new())
    with pytest.raises(ForeignReferenceError, match=r"<step 'later'>, given to output"):
        flow.output = other
    with pytest.raises(InvalidNameError):
        flow.output = 5  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InvalidNameError):
        Baton(output="")
    async with running(dsn) as run:
        with pytest.raises(UnknownOutputError, match=r"'later' is not a step .*steps: 'a'"):
            await run.insert(flow)
        flow.add("later", take.new(word="w"))
        assert (await run.completed(flow)).output == "w"


async def test_a_null_is_a_result(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton(input=[None], output="a").add("a", read.new(typed=False))
        flow.output = flow.step("null", take.new(any=flow.input[0]))
        assert flow.output == "null"
        assert (await run.completed(flow)).output == ""
        assert seen["null"] == ("", [], None)
