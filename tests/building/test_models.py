"""Models of steps: chosen once, seen alike everywhere; one question to several of them."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given, strategies as st

from baton import Baton, Discard, Step, SyncStep, Worker, worker
from baton.core.names import STEP_LIMIT, validate_step_name
from baton.errors import (
    BatonError,
    DuplicateStepError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    UnknownDependencyError,
)
from baton.handles.draft import draft_of
from support.running import running


class Ask(Worker, max_attempts=1):
    model: str = ""
    fails: bool = False

    async def perform(self, step: Step) -> list[str | None] | Discard:
        return Discard("no answer") if self.fails else [self.model, step.model]


@worker(max_attempts=1)
async def ask(step: Step, *, question: str = "") -> str:
    return f"{step.model}: {question}"


@worker(max_attempts=1)
async def combine(step: Step) -> list[Any]:
    return [step.model, await step.results_by_model()]


@worker(max_attempts=1)
def combine_in_a_thread(step: SyncStep) -> list[Any]:
    return [step.model, step.results_by_model()]


def models_of(workflow: Baton) -> dict[str, str | None]:
    return {step.name: step.model for step in draft_of(workflow).prepared().steps}


MAP = {"smart": "gpt-5", "draft": "gpt-4o", "b": "by-name"}


async def test_every_step_sees_the_model_that_was_chosen(dsn: str) -> None:
    """Claimed from the queue and handed over, in the loop and in a thread, at any attempt."""

    @worker(max_attempts=2, backoff=0)
    async def see(step: Step) -> str | None:
        if step.attempt == 1:
            raise ValueError("again")
        return step.model

    @worker
    def see_in_a_thread(step: SyncStep) -> str | None:
        return step.model

    workflow = (
        Baton(model_map=MAP)
        .add("role", see.new(), model="smart")
        .add("b", see.new())
        .add("itself", see.new(), model="o3")
        .add("none", see.new())
        .add("handed over", see_in_a_thread.new(), deps=["role"], model="draft")
        .add("draft", see.new(), deps=["none"], model="b")
    )
    expected = {
        "role": "gpt-5",
        "b": "by-name",
        "itself": "o3",
        "none": None,
        "handed over": "gpt-4o",
        "draft": "by-name",
    }
    assert models_of(workflow) == expected
    async with running(dsn) as run:
        await run.workflow(workflow)
        seen = {name: (await run.tables.step(workflow, name)).result for name in expected}
    assert seen == expected


def test_without_a_map_a_model_is_what_it_is_called() -> None:
    workflow = Baton().add("a", Ask(), model="smart").add("b", Ask()).add("c", Ask(), model=None)
    assert models_of(workflow) == {"a": "smart", "b": None, "c": None}


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (["gpt-5"], InvalidOptionError),
        ("gpt-5", InvalidOptionError),
        ({"smart": 5}, InvalidNameError),
        ({"": "gpt-5"}, InvalidNameError),
        ({"smart": "a\0b"}, InvalidNameError),
    ],
)
def test_wrong_maps_are_refused(wrong: Any, kind: type[BatonError]) -> None:
    with pytest.raises(kind):
        Baton(model_map=wrong)


def test_wrong_models_are_refused() -> None:
    for wrong in ("", " a", "a\x1fb", 5):
        with pytest.raises(InvalidNameError, match="model name"):
            Baton().add("a", Ask(), model=cast(str, wrong))


@pytest.mark.parametrize("synthesis", [combine.new(), combine_in_a_thread.new()])
async def test_one_question_to_several_models(dsn: str, synthesis: Any) -> None:
    workflow = Baton(model_map=MAP).add("question", ask.new())
    names = workflow.add_models(
        "draft",
        models=["smart", "o3", "meta/llama:free"],
        job=lambda model: Ask(model=model),
        deps=["question"],
        synthesis=synthesis,
        priority=3,
    )
    assert names == ("draft.gpt-5", "draft.o3", "draft.meta/llama:free", "draft")
    assert workflow.step_names == ("question", *names)
    steps = {step.name: step for step in draft_of(workflow).prepared().steps}
    assert [steps[name].deps for name in names[:-1]] == [("question",)] * 3
    assert [steps[name].priority for name in names] == [3, 3, 3, 0]
    assert steps["draft"].deps == names[:-1]
    async with running(dsn) as run:
        await run.completed(workflow)
        answers = {model: [model, model] for model in ("gpt-5", "o3", "meta/llama:free")}
        # The synthesis is a step like others: the map may name it.
        assert (await run.tables.step(workflow, "draft")).result == ["gpt-4o", answers]


async def test_a_synthesis_works_with_the_answers_there_are(dsn: str) -> None:
    workflow = Baton()
    workflow.add_models(
        "a",
        ["x", "y"],
        lambda model: Ask(model=model, fails=model == "x"),
        synthesis=combine.new(),
        ignore_discarded=True,
    )
    async with running(dsn) as run:
        await run.workflow(workflow)
        assert (await run.tables.step(workflow, "a")).result == [None, {"y": ["y", "y"]}]


async def test_results_of_one_model_twice_are_read_by_name(dsn: str) -> None:
    workflow = Baton().add("a", Ask(), model="x").add("b", Ask(), model="x").add("c", Ask())
    workflow.add("one", combine.new(), deps=["a", "c"])
    workflow.add("two", combine.new(), deps=["a", "b"])
    async with running(dsn) as run:
        await run.workflow(workflow)
        assert (await run.tables.step(workflow, "one")).result == [None, {"x": ["", "x"]}]
        row = await run.tables.step(workflow, "two")
        assert row.state == "discarded"
        assert "several of its dependencies have the model 'x', one of them 'b'" in row.error


def test_names_give_way_to_steps_that_are_there() -> None:
    workflow = Baton().add("a.x", Ask()).add("a.x~2", Ask())
    assert workflow.add_models("a", ["x", "y"], Ask()) == ("a.x~3", "a.y")
    assert workflow.add_models("a", ["x"], Ask(), synthesis=Ask()) == ("a.x~4", "a")
    assert models_of(workflow)["a.x~4"] == "x"


def test_what_is_refused_adds_nothing() -> None:
    workflow = Baton(model_map={"smart": "x"}).add("a", Ask())

    def odd(model: str) -> Any:
        return Ask(model=model) if model == "x" else "no job"

    refused: list[tuple[dict[str, Any], type[BatonError], str]] = [
        ({"models": []}, InvalidOptionError, "at least one model"),
        ({"models": "gpt-5"}, InvalidOptionError, r"models=\['gpt-5'\]"),
        ({"models": ["x", "y", "x"]}, InvalidOptionError, "each model once"),
        ({"models": ["smart", "x"]}, InvalidOptionError, "'smart' and 'x' are both 'x'"),
        ({"models": ["x", 5]}, InvalidNameError, "model name"),
        ({"name": ""}, InvalidNameError, "step name"),
        ({"deps": "a"}, InvalidOptionError, r"deps=\['a'\]"),
        ({"model": "x"}, InvalidOptionError, "models="),
        ({"queue": ""}, InvalidNameError, "queue name"),
        ({"synthesis": Ask(), "name": "a"}, DuplicateStepError, "'a'"),
        ({"synthesis": "no job"}, InvalidArgumentError, "job='no job'"),
        ({"job": ask}, InvalidArgumentError, r"job=lambda model: ask.new\(model=model\)"),
        ({"job": Ask}, InvalidArgumentError, r"job=lambda model: Ask\(model=model\)"),
        ({"job": None}, InvalidArgumentError, "a job, or a function"),
        ({"job": odd}, InvalidArgumentError, "'no job'"),
    ]
    for wrong, kind, message in refused:
        given_to: dict[str, Any] = {"name": "b", "models": ["x", "y"], "job": Ask(), **wrong}
        with pytest.raises(kind, match=message):
            workflow.add_models(**given_to)
        assert workflow.step_names == ("a",)
    workflow.add_models("b", ["x"], Ask(), deps=["missing"])
    with pytest.raises(UnknownDependencyError):
        workflow.validate()


def valid(text: str) -> bool:
    try:
        return validate_step_name(text) == text
    except InvalidNameError:
        return False


# Short ones meet each other, long ones meet the limit.
NAMES = st.one_of(
    st.sampled_from(["a", "a.a", "a.a~2", "a.b", "ab", "a" * STEP_LIMIT, "b" * STEP_LIMIT]),
    st.text("ab.~2 \u0301é", min_size=1, max_size=6),
    st.text("a ", min_size=STEP_LIMIT - 3, max_size=STEP_LIMIT),
    st.text(min_size=1, max_size=STEP_LIMIT),
).filter(valid)


@given(
    existing=st.sets(NAMES, max_size=4),
    fans=st.lists(
        st.tuples(NAMES, st.lists(NAMES, min_size=1, max_size=4, unique=True)), max_size=4
    ),
    synthesis=st.booleans(),
)
def test_names_never_collide(
    existing: set[str], fans: list[tuple[str, list[str]]], synthesis: bool
) -> None:
    workflow = Baton()
    for name in existing:
        workflow.add(name, Ask())
    made: list[str] = []
    for name, models in fans:
        with_synthesis = synthesis and name not in workflow
        before = workflow.step_names
        names = workflow.add_models(
            name, models, Ask(), synthesis=Ask() if with_synthesis else None
        )
        assert workflow.step_names == (*before, *names)
        assert all(map(valid, names))
        assert [models_of(workflow)[step] for step in names] == [
            *models,
            *([None] if with_synthesis else []),
        ]
        made += names
    assert len({*existing, *made}) == len(existing) + len(made)
    if existing or made:
        workflow.validate()
