"""Results as arguments: what is checked, and what is stored, when the graph is built."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from baton import Baton, NewJob, Skip, Snooze, Step, StepRef, SyncStep, Worker, worker
from baton.errors import (
    CycleError,
    ForeignReferenceError,
    InvalidArgsError,
    InvalidNameError,
    NotStorableError,
    ReferenceTypeError,
    ReferenceUseError,
    StepNotAddedError,
    UnknownFieldError,
)
from baton.words.rows import NewStep


class Page(BaseModel):
    title: str | None = None
    words: list[str] = []


@dataclass
class Size:
    width: int
    unit: str = "px"


@worker(name="ref.fetch")
async def fetch(step: Step, *, url: str = "") -> Page | Snooze | Skip:
    return Page(words=[url])


@worker(name="ref.number")
def number(step: SyncStep) -> int:
    return 1


@worker(name="ref.untyped")
async def untyped(step: Step):  # type: ignore[no-untyped-def]
    return {"a": 1}


@worker(name="ref.take")
async def take(
    step: Step,
    *,
    page: Page | None = None,
    word: str = "",
    numbers: list[int] = [],  # noqa: B006 pydantic copies it
    sizes: dict[str, Size] = {},  # noqa: B006
    mixed: int | list[int] = 0,
    anything: Any = None,
) -> None: ...


# What type checkers would refuse.
unchecked: Any = take


class Count(Worker, name="ref.count"):
    page: Page
    least: int = Field(default=1, alias="at_least")
    label: str = "x"

    @field_validator("label", mode="before")
    @classmethod
    def _label(cls, given: Any) -> Any:
        return str(given) if isinstance(given, int) else given

    async def perform(self, step: Step) -> int:
        return len(self.page.words)


def built(flow: Baton, name: str) -> NewStep:
    return flow._draft.steps[name]


def stored(job: NewJob) -> Any:
    return json.loads(job.args)


@pytest.fixture
def flow() -> Baton:
    return Baton()


def test_an_argument_is_an_edge(flow: Baton) -> None:
    a = flow.step("a", fetch.new(url="x"))
    assert (a.name, repr(a)) == ("a", "<step 'a'>")
    b = flow.step("b", take.new(page=a.output, word=a.output.words[0]), queue="q", priority=3)
    flow.add("c", take.new(anything={"n": [a.output, b.output]}), deps=[b, "a"])
    assert flow.validate() == ["a", "b", "c"]
    assert (built(flow, "b").deps, built(flow, "c").deps) == (("a",), ("b", "a"))
    assert (built(flow, "b").queue, built(flow, "b").priority) == ("q", 3)
    assert json.loads(built(flow, "b").args) == {
        "page": {"$result": "a"},
        "word": {"$result": "a", "path": "/words/0"},
        "numbers": [],
        "sizes": {},
        "mixed": 0,
        "anything": None,
    }


def test_a_class_takes_references_in_its_fields(flow: Baton) -> None:
    a = flow.step("a", fetch.new())
    made = Count(page=a.output, at_least="3")
    assert made.least == 3
    assert repr(made.page) == "<the result of 'a'>"
    flow.step("b", made)
    assert json.loads(built(flow, "b").args) == {
        "page": {"$result": "a"}, "least": 3, "label": "x",
    }  # fmt: skip
    by_name = Count(page=a.output, least=4, label=5)
    flow.step("c", by_name)
    assert json.loads(built(flow, "c").args)["least"] == 4
    with pytest.raises(InvalidArgsError, match="least"):
        Count(page=a.output, least="many")
    with pytest.raises(InvalidArgsError, match="at_least"):
        Count(page=a.output, at_least="many")
    with pytest.raises(ReferenceTypeError, match="takes Page, but <the result of 'n'> is int"):
        Count(page=flow.step("n", number.new()).output)


def test_references_stand_inside_of_what_holds_them(flow: Baton) -> None:
    a, n = flow.step("a", fetch.new()), flow.step("n", number.new())
    width: Any = n.output
    job = take.new(
        page=Page.model_construct(words=[a.output.words[0]], title="t"),
        numbers=[1, n.output, 3],
        sizes={"$big": Size(width), "small": Size(1)},
        anything=({"x": {"y": (a.output.title,)}}, {"$set": {"$x": 1}}),
    )
    word = {"$result": "a", "path": "/words/0"}
    assert stored(job) == {
        "page": {"title": "t", "words": [word]},
        "numbers": [1, {"$result": "n"}, 3],
        "sizes": {
            "$$big": {"width": {"$result": "n"}, "unit": "px"},
            "small": {"width": 1, "unit": "px"},
        },
        "anything": [
            {"x": {"y": [{"$result": "a", "path": "/title"}]}},
            {"$$set": {"$$x": 1}},
        ],
        "word": "",
        "mixed": 0,
    }


def test_keys_of_the_users_own_are_stored_with_one_sign_more() -> None:
    assert stored(take.new(anything={"$result": "a", "b": "$c"}))["anything"] == {
        "$$result": "a",
        "b": "$c",
    }


SLIPS: dict[str, tuple[Callable[[StepRef[Any], StepRef[Any]], Any], type[Exception], str]] = {
    "another type": (
        lambda a, n: unchecked.new(word=n.output),
        ReferenceTypeError,
        "the argument 'word' of worker 'ref.take' takes str, but <the result of 'n'> is int",
    ),
    "another type of a part": (
        lambda a, n: unchecked.new(word=a.output.words),
        ReferenceTypeError,
        "<the result of 'a' at '/words'> is list[str]",
    ),
    "another type within": (
        lambda a, n: unchecked.new(numbers=[a.output]),
        ReferenceTypeError,
        "the argument 'numbers.0' of worker 'ref.take' takes int",
    ),
    "another type in a dataclass": (
        lambda a, n: unchecked.new(sizes={"a": Size(a.output)}),
        ReferenceTypeError,
        "the argument 'sizes.a.width'",
    ),
    "no such field": (
        lambda a, n: a.output.wrods,
        UnknownFieldError,
        "Page has no field 'wrods' (its fields: title, words); did you mean 'words'?",
    ),
    "no such argument": (lambda a, n: unchecked.new(pag=a.output), InvalidArgsError, "pag: Extra"),
    "wrong beside it": (
        lambda a, n: unchecked.new(page=a.output, numbers=["x"]),
        InvalidArgsError,
        "numbers.0: Input should be a valid integer",
    ),
    "wrong beside it in a list": (
        lambda a, n: unchecked.new(numbers=[n.output, "x"]),
        InvalidArgsError,
        "numbers.1: Input should be a valid integer",
    ),
    "a holder of another type": (
        lambda a, n: unchecked.new(word=[a.output]),
        InvalidArgsError,
        "word: Input should be a valid string",
    ),
    "not storable beside it": (
        lambda a, n: unchecked.new(anything=[a.output, object()]),
        NotStorableError,
        "the argument 'anything' of the arguments of ref.take",
    ),
    "a key": (lambda a, n: unchecked.new(anything={a.output: 1}), NotStorableError, "Reference"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_are_errors_where_they_are_made(flow: Baton, slip: str) -> None:
    call, kind, text = SLIPS[slip]
    a, n = flow.step("a", fetch.new()), flow.step("n", number.new())
    with pytest.raises(kind) as raised:
        call(a, n)
    assert text in str(raised.value)


def test_what_is_not_certain_is_no_error(flow: Baton) -> None:
    a, n, u = (
        flow.step("a", fetch.new()),
        flow.step("n", number.new()),
        flow.step("u", untyped.new()),
    )
    take.new(mixed=[n.output, 2])
    take.new(numbers=[u.output.x.y[0]], word=u.output["q"], page=u.output)
    take.new(page=a.output, anything=n.output)
    flow.add("b", Count(page=u.output, label=n.output))


USES: list[Callable[[Any], object]] = [
    str,
    bool,
    len,
    list,
    lambda r: f"{r}",
    lambda r: r == 1,
    lambda r: "x" in r,
    lambda r: r(),
    lambda r: r.words[0](),
    lambda r: r[1:2],
    lambda r: r[1.5],
    copy.deepcopy,
]


@pytest.mark.parametrize("use", USES)
def test_a_reference_is_no_value(flow: Baton, use: Callable[[Any], object]) -> None:
    with pytest.raises(ReferenceUseError, match="has no value while the workflow is built"):
        use(flow.step("u", untyped.new()).output)


def test_names_that_begin_with_an_underscore_are_items(flow: Baton) -> None:
    output: Any = flow.step("u", untyped.new()).output
    assert repr(output["_id"]) == "<the result of 'u' at '/_id'>"
    assert not hasattr(output, "_id")
    assert not hasattr(output, "__array__")
    assert repr(output["a/b"]["~"][-1]) == "<the result of 'u' at '/a~1b/~0/-1'>"


def test_steps_of_another_builder_are_refused(flow: Baton) -> None:
    other = Baton()
    a = other.step("a", fetch.new())
    flow.step("a", fetch.new())
    with pytest.raises(ForeignReferenceError, match=r"<the result of 'a'>, given to step 'b'"):
        flow.step("b", take.new(page=a.output))
    for option in ("deps", "any_of"):
        options: Any = {option: [a]}
        with pytest.raises(ForeignReferenceError, match=rf"<step 'a'>, given to {option}="):
            flow.step("b", take.new(), **options)
    assert flow.step_names == ("a",)


def test_dependencies_given_otherwise_stay(flow: Baton) -> None:
    a, n = flow.step("a", fetch.new()), flow.step("n", number.new())
    flow.step("b", take.new(page=a.output), deps=[n], any_of=[a, "x"])
    assert (built(flow, "b").deps, built(flow, "b").any_of) == (("n", "a", "x"), ("a", "x"))
    flow.step("c", take.new(page=a.output), when={"a": {"title": "t"}})
    flow.wait("w", any_of=["event"], deps=[a])
    assert built(flow, "w").deps == ("a",)
    flow.add_models(
        "m", ["x", "y"], take.new(page=a.output), deps=[n], synthesis=Count(page=a.output)
    )
    assert [built(flow, name).deps for name in ("m.x", "m.y", "m")] == [
        ("n", "a"), ("n", "a"), ("m.x", "m.y", "a"),
    ]  # fmt: skip
    with pytest.raises(InvalidNameError, match=r"not a NewJob"):
        flow.step("d", take.new(), deps=[number.new()])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_step_that_was_added_otherwise_is_found_by_its_name(flow: Baton) -> None:
    indexed: Any = flow
    flow.add("n", number.new()).wait("w", any_of=["event"])
    flow.add_models("m", ["x"], fetch.new())
    assert repr(flow["n"]) == "<step 'n'>"
    flow.add("b", take.new(anything=[flow["w"].output["events"], flow["m.x"].output.words]))
    assert built(flow, "b").deps == ("w", "m.x")
    with pytest.raises(ReferenceTypeError):
        take.new(word=flow["n"].output)
    with pytest.raises(StepNotAddedError, match=r"no step named 'nn' .*did you mean 'n'"):
        flow["nn"]
    with pytest.raises(StepNotAddedError, match=r"no step named 0 "):
        list(indexed)


def test_a_cycle_of_arguments_is_a_cycle(flow: Baton) -> None:
    a = flow.step("a", fetch.new(), deps=["b"])
    flow.step("b", take.new(page=a.output))
    with pytest.raises(CycleError):
        flow.validate()


def test_arguments_without_references_are_not_looked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[object] = []
    monkeypatch.setattr("baton.workers.args.references_in", looked.append)
    monkeypatch.setattr("baton.workers.args.escaped", looked.append)
    fetch.new(url="x")
    take.new(anything={"a": ["b"], "c$": {"d": "x$"}})
    assert looked == []
