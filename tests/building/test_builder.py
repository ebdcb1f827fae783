"""The builder of workflows, without a database."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from baton import Baton, Step, Worker, insert_all, worker
from baton.errors import (
    CycleError,
    DuplicateStepError,
    EmptyWorkflowError,
    InvalidArgsError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    NoEngineError,
    NotStorableError,
    SelfDependencyError,
    UnknownDependencyError,
)
from baton.handles.draft import draft_of
from baton.words.rows import Job, NewStep
from baton.words.states import JobState
from baton.workers.registry import held_spec


class Fetch(Worker, queue="io", max_attempts=4, priority=1, tags=["eu"], timeout=9):
    key: str = "k"

    async def perform(self, step: Step) -> None: ...


class Empty(Worker):
    async def perform(self, step: Step) -> None: ...


@worker
async def process(step: Step, *, url: str = "u") -> None: ...


def steps(workflow: Baton) -> dict[str, NewStep]:
    return {step.name: step for step in draft_of(workflow).prepared().steps}


def only(workflow: Baton) -> NewStep:
    (step,) = draft_of(workflow).prepared().steps
    return step


def diamond() -> Baton:
    return (
        Baton(workflow_name="ingest")
        .add("a", Fetch(key="xyz"))
        .add("b", process.new(url="a.com"), deps=["a"])
        .add("c", process.new(url="b.com"), deps=["a"])
        .add("d", Fetch(), deps=["b", "c"])
    )


class TestIdentity:
    def test_a_fresh_id_is_a_uuid_of_version_7_and_differs(self) -> None:
        first, second = Baton().workflow_id, Baton().workflow_id
        assert (first.version, second.version) == (7, 7)
        assert first != second
        made = datetime.fromtimestamp((first.int >> 80) / 1000, UTC)
        assert abs(made - datetime.now(UTC)) < timedelta(minutes=1)

    def test_an_id_may_be_a_uuid_or_its_text(self) -> None:
        given = uuid4()
        assert Baton(given).workflow_id == given
        assert Baton(str(given)).workflow_id == given
        assert Baton(workflow_id=str(given).upper()).workflow_id == given

    @pytest.mark.parametrize("given", ["", "x", 5, b"x", [], object()])
    def test_any_other_id_is_refused(self, given: Any) -> None:
        with pytest.raises(InvalidArgumentError) as caught:
            Baton(given)
        assert caught.value.argument == "workflow_id"

    @pytest.mark.parametrize("given", ["", "x" * 256, "a\0", 5])
    def test_names_are_checked(self, given: Any) -> None:
        with pytest.raises(InvalidNameError):
            Baton(workflow_name=given)

    @pytest.mark.parametrize("flag", ["ignore_cancelled", "ignore_discarded", "debug"])
    @pytest.mark.parametrize("given", [1, 0, "yes", None])
    def test_flags_are_booleans(self, flag: str, given: Any) -> None:
        options: Any = {flag: given}
        with pytest.raises(InvalidOptionError, match="expected True or False") as caught:
            Baton(**options)
        assert caught.value.option == flag


class TestGraph:
    def test_a_diamond(self) -> None:
        workflow = diamond()
        assert workflow.validate() == ["a", "b", "c", "d"]
        assert workflow.step_names == ("a", "b", "c", "d")
        assert (len(workflow), "a" in workflow, "e" in workflow) == (4, True, False)
        assert {name: step.deps for name, step in steps(workflow).items()} == {
            "a": (),
            "b": ("a",),
            "c": ("a",),
            "d": ("b", "c"),
        }

    def test_dependencies_may_be_added_later(self) -> None:
        workflow = Baton().add("late", Fetch(), deps=["early"]).add("early", Fetch())
        assert workflow.step_names == ("late", "early")
        assert workflow.validate() == ["early", "late"]

    def test_repeated_dependencies_count_once(self) -> None:
        workflow = Baton().add("a", Fetch()).add("b", Fetch(), deps=["a", "a"])
        assert steps(workflow)["b"].deps == ("a",)

    @pytest.mark.parametrize("deps", [["a"], ("a",), {"a"}, {"a": 1}.keys(), (x for x in "a")])
    def test_dependencies_may_be_any_list(self, deps: Any) -> None:
        workflow = Baton().add("a", Fetch()).add("b", Fetch(), deps=deps)
        assert steps(workflow)["b"].deps == ("a",)

    def test_a_duplicate_name_raises_at_once(self) -> None:
        workflow = Baton().add("a", Fetch())
        with pytest.raises(DuplicateStepError) as caught:
            workflow.add("a", Fetch())
        assert caught.value.step == "a"
        assert len(workflow) == 1

    def test_a_refused_step_is_not_added(self) -> None:
        workflow = Baton()
        with pytest.raises(InvalidOptionError):
            workflow.add("a", Fetch(), priority=-1)
        assert workflow.step_names == ()
        workflow.add("a", Fetch())

    def test_an_empty_workflow(self) -> None:
        assert bool(Baton())
        with pytest.raises(EmptyWorkflowError):
            Baton().validate()

    def test_an_unknown_dependency(self) -> None:
        with pytest.raises(UnknownDependencyError, match="did you mean 'fetch'") as caught:
            Baton().add("fetch", Fetch()).add("b", Fetch(), deps=["fetsh"]).validate()
        assert (caught.value.step, caught.value.dependency) == ("b", "fetsh")

    def test_a_self_dependency(self) -> None:
        with pytest.raises(SelfDependencyError):
            Baton().add("a", Fetch(), deps=["a"]).validate()

    def test_a_cycle_is_named_with_its_path(self) -> None:
        workflow = Baton().add("a", Fetch(), deps=["c"]).add("b", Fetch(), deps=["a"])
        with pytest.raises(CycleError) as caught:
            workflow.add("c", Fetch(), deps=["b"]).validate()
        assert caught.value.path[0] == caught.value.path[-1]
        assert set(caught.value.path) == {"a", "b", "c"}

    @pytest.mark.parametrize(
        "name", ["", " a", "a\n", "a\0b", "x" * 256, "\u200ba", "\ud800", 5, None]
    )
    def test_step_names_are_checked(self, name: Any) -> None:
        with pytest.raises(InvalidNameError):
            Baton().add(name, Fetch())
        with pytest.raises(InvalidNameError):
            Baton().add("a", Fetch(), deps=[name])

    def test_a_workflow_of_100_000_steps_is_built_and_checked(self) -> None:
        workflow = Baton().add("s0", process.new())
        for i in range(1, 100_000):
            workflow.add(f"s{i}", process.new(), deps=[f"s{i - 1}"])
        assert len(workflow.validate()) == 100_000


class TestOptions:
    def test_a_step_has_its_workers_options(self) -> None:
        step = only(Baton().add("a", Fetch()))
        assert (step.queue, step.max_attempts, step.priority, step.tags) == ("io", 4, 1, ("eu",))
        # The worker's own timeout is read when it runs.
        assert (step.timeout, step.schedule_in, step.schedule_at) == (None, None, None)

    def test_a_worker_without_options_has_obans_defaults(self) -> None:
        step = only(Baton().add("a", process.new()))
        assert (step.queue, step.max_attempts, step.priority, step.tags) == ("default", 20, 0, ())

    def test_a_steps_own_options_come_first(self) -> None:
        step = only(
            Baton().add(
                "a",
                Fetch(),
                queue="q",
                max_attempts=1,
                priority=0,
                tags=["x", "x", "y"],
                timeout=timedelta(minutes=1),
            )
        )
        assert (step.queue, step.max_attempts, step.priority, step.tags) == ("q", 1, 0, ("x", "y"))
        assert step.timeout == 60

    def test_none_means_the_workers_own(self) -> None:
        given: Any = dict.fromkeys(
            ["queue", "max_attempts", "priority", "tags", "timeout", "schedule_in", "schedule_at"]
        )
        assert only(Baton().add("a", Fetch(), **given)) == only(Baton().add("a", Fetch()))

    @pytest.mark.parametrize(
        ("given", "seconds"), [(5, 5), (0, 0), (1.5, 1.5), (timedelta(days=1), 86_400)]
    )
    def test_schedule_in(self, given: Any, seconds: float) -> None:
        assert only(Baton().add("a", Fetch(), schedule_in=given)).schedule_in == seconds

    def test_schedule_at_is_kept_in_utc(self) -> None:
        at = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45)))
        kept = only(Baton().add("a", Fetch(), schedule_at=at)).schedule_at
        assert kept == at
        assert kept is not None
        assert kept.tzinfo is UTC

    @pytest.mark.parametrize("workflow", [None, "cancelled", "discarded"])
    @pytest.mark.parametrize("step", [None, True, False])
    def test_ignore_flags_default_to_the_workflows(
        self, workflow: str | None, step: bool | None
    ) -> None:
        baton = Baton(
            ignore_cancelled=workflow == "cancelled", ignore_discarded=workflow == "discarded"
        )
        made = only(baton.add("a", Fetch(), ignore_cancelled=step, ignore_discarded=step))
        assert made.ignore_cancelled is ((workflow == "cancelled") if step is None else step)
        assert made.ignore_discarded is ((workflow == "discarded") if step is None else step)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"queue": ""}, "queue"),
    ({"queue": "x" * 128}, "queue"),
    ({"queue": 5}, "queue"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"max_attempts": 32_768}, "max_attempts"),
    ({"max_attempts": True}, "max_attempts"),
    ({"max_attempts": "3"}, "max_attempts"),
    ({"max_attempts": 3.0}, "max_attempts"),
    ({"priority": -1}, "priority"),
    ({"priority": 32_768}, "priority"),
    ({"priority": False}, "priority"),
    ({"tags": "eu"}, "tags=\\['eu'\\]"),
    ({"tags": b"eu"}, "tags"),
    ({"tags": {"a": 1}}, "tags"),
    ({"tags": 5}, "tags"),
    ({"tags": [5]}, "tag"),
    ({"tags": ["x" * 256]}, "tag"),
    ({"tags": [""]}, "tag"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": -1}, "timeout"),
    ({"timeout": math.nan}, "timeout"),
    ({"timeout": True}, "timeout"),
    ({"timeout": timedelta(0)}, "timeout"),
    ({"schedule_in": -0.1}, "schedule_in"),
    ({"schedule_in": math.inf}, "schedule_in"),
    ({"schedule_in": math.nan}, "schedule_in"),
    ({"schedule_in": 10**400}, "schedule_in"),
    ({"schedule_in": "5"}, "schedule_in"),
    ({"schedule_in": timedelta(days=-1)}, "schedule_in"),
    ({"schedule_in": timedelta.max}, "schedule_in"),
    ({"schedule_at": datetime(2030, 1, 1)}, "naive"),  # noqa: DTZ001
    ({"schedule_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))}, "9999"),
    ({"schedule_at": "2030-01-01"}, "schedule_at"),
    ({"schedule_at": datetime(2030, 1, 1, tzinfo=UTC), "schedule_in": 5}, "only one of"),
    ({"ignore_cancelled": 1}, "ignore_cancelled"),
    ({"ignore_discarded": "no"}, "ignore_discarded"),
    ({"deps": "a"}, "deps=\\['a'\\]"),
    ({"deps": b"a"}, "deps"),
    ({"deps": {"a": 1}}, "deps"),
    ({"deps": 5}, "deps"),
    ({"deps": None}, "deps"),
    ({"deps": [Fetch()]}, "step names, such as deps=\\['a'\\], not a Fetch"),
    ({"deps": [process.new()]}, "step names, such as deps=\\['a'\\], not a NewJob"),
    (
        {"deps": [Job(1, UUID(int=1), "a", "w", "q", JobState.AVAILABLE)]},
        "step names, .* not a Job",
    ),
    ({"deps": process.new()}, "deps=\\['a', 'b'\\]"),
    # A model without fields would be no dependencies.
    ({"deps": Empty()}, "deps=\\['a', 'b'\\]"),
    ({"max_attempt": 5}, "max_attempts"),
    ({"backoff": 5}, "backoff"),
    ({"name2": 5}, "The options are: queue"),
]


@pytest.mark.parametrize(("given", "told"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_options_raise_at_once_with_the_facts(given: dict[str, Any], told: str) -> None:
    workflow = Baton()
    with pytest.raises((InvalidOptionError, InvalidNameError), match=told):
        workflow.add("b", Fetch(), **given)
    assert len(workflow) == 0


def plain_function(step: Step) -> None: ...


NO_JOBS: list[tuple[Any, str]] = [
    (Fetch, ".add('b', Fetch(…))"),
    (process, ".add('b', process.new(…))"),
    (plain_function, "@worker, then .add('b', plain_function.new(…))"),
    (dict, ".add('b', dict(…))"),
    (None, "FetchToken(…)"),
    ("Fetch", "FetchToken(…)"),
    ({"key": "x"}, "FetchToken(…)"),
]


@pytest.mark.parametrize(("job", "corrected"), NO_JOBS)
def test_what_is_no_job_is_told_with_the_corrected_call(job: Any, corrected: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(corrected)) as caught:
        Baton().add("b", job)
    assert (caught.value.argument, caught.value.given) == ("job", job)


def test_a_call_in_place_of_a_job_is_told_with_the_corrected_call() -> None:
    # Without the step it is refused at once, with one it is a coroutine.
    calls: Any = process
    with pytest.raises(InvalidArgsError, match=re.escape("process.new(url=…)")) as caught:
        Baton().add("b", calls(url="a"))
    assert (caught.value.worker, caught.value.given) == (held_spec(process).name, {"url": "a"})
    with pytest.raises(InvalidArgumentError, match=re.escape(".add('b', process.new(…))")):
        Baton().add("b", calls("a"))


BAD_JOBS: list[tuple[Callable[[], object], type[Exception]]] = [
    (lambda: Fetch(key="a\0"), NotStorableError),
    (lambda: Fetch(key="x" * 1_100_000), NotStorableError),
    (lambda: process.new(url="\0"), NotStorableError),
    (lambda: process.new(url=5), InvalidArgsError),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "error"), BAD_JOBS)
def test_arguments_are_checked_when_added(
    make: Callable[[], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Baton().add("a", cast("Any", make()))


def test_arguments_are_taken_when_added() -> None:
    job = Fetch(key="first")
    workflow = Baton().add("a", job)
    job.key = "second"
    assert only(workflow).args == '{"key":"first"}'


@pytest.mark.parametrize("given", [5, None, [5], ["a"], [None], [Fetch()]])
async def test_insert_all_takes_workflows(given: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await insert_all(given)
    assert caught.value.argument == "workflows"


async def test_insert_all_takes_each_workflow_once() -> None:
    workflow = diamond()
    with pytest.raises(InvalidArgumentError, match="each workflow once"):
        await insert_all([workflow, workflow])


async def test_without_an_engine_it_is_told_so() -> None:
    with pytest.raises(NoEngineError, match="'default'"):
        await diamond().insert()
    with pytest.raises(NoEngineError, match="'other'"):
        await diamond().insert(engine="other")
    with pytest.raises(InvalidArgumentError, match="engine"):
        await diamond().insert(engine=cast("Any", 5))


@pytest.mark.parametrize("workflow", [Baton(), Baton().add("a", Fetch(), deps=["b"])])
async def test_the_graph_is_checked_before_an_engine_is_looked_for(workflow: Baton) -> None:
    with pytest.raises((EmptyWorkflowError, UnknownDependencyError)):
        await workflow.insert()
