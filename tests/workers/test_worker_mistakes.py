"""Wrong definitions of workers are told at once, with what to do instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import timedelta
from typing import Annotated, Any, cast

import pytest
from pydantic import Field

from baton import Step, SyncStep, Worker, worker
from baton.errors import DuplicateWorkerError, InvalidNameError, InvalidOptionError, WorkerError
from baton.workers import registry
from baton.workers.class_worker import job_of
from baton.workers.registry import held_spec


@worker
def count(step: SyncStep, *, numbers: Annotated[list[int], Field(max_length=3)]) -> int:
    return sum(numbers)


class Bare(Worker):
    async def perform(self, step: Step) -> None:
        return None


class TestRegistry:
    def test_another_definition_may_not_take_the_name(self) -> None:
        class First(Worker, name="taken"):
            async def perform(self, step: Step) -> None: ...

        with pytest.raises(DuplicateWorkerError) as caught:

            @worker(name="taken")
            async def second(step: Step) -> None: ...

        assert caught.value.worker == "taken"
        assert registry.find("taken") is held_spec(job_of(First()))

    def test_a_name_is_looked_up_and_never_imported(self) -> None:
        for name in ("os.system", "this", "antigravity.fly", "builtins.eval", ""):
            assert registry.find(name) is None

    @pytest.mark.parametrize("name", ["", "x" * 128, "a\nb", 5])
    def test_names_are_checked(self, name: Any) -> None:
        with pytest.raises(InvalidNameError):

            @worker(name=name)
            async def misnamed(step: Step) -> None: ...

    def test_a_default_name_too_long_is_told(self) -> None:
        with pytest.raises(InvalidNameError):
            type("L" * 128, (Bare,), {})


def mistaken_async_generator() -> None:
    @worker
    async def wrong(step: Step) -> Any:
        yield 1


def mistaken_no_step() -> None:
    @worker  # type: ignore[arg-type]
    async def wrong() -> None: ...


def mistaken_method() -> None:
    class Jobs:
        @worker
        async def wrong(self, step: Step, *, url: str) -> None: ...


def mistaken_class_method() -> None:
    class Jobs:
        @classmethod
        @worker
        async def wrong(cls, step: Step) -> None: ...


def mistaken_only_arguments() -> None:
    @worker  # type: ignore[arg-type]
    async def wrong(*, url: str) -> None: ...


def mistaken_forgotten_step() -> None:
    @worker
    async def wrong(url: str, *, n: int) -> None: ...


def mistaken_star() -> None:
    @worker
    async def wrong(step: Step, *urls: str) -> None: ...


def mistaken_double_star() -> None:
    @worker  # type: ignore[arg-type]
    async def wrong(step: Step, **urls: str) -> None: ...


def mistaken_positional_only() -> None:
    @worker
    async def wrong(step: Step, url: str, /) -> None: ...


def mistaken_unannotated() -> None:
    @worker
    async def wrong(step: Step, *, url) -> None: ...  # type: ignore[no-untyped-def]


def mistaken_underscore() -> None:
    @worker
    async def wrong(step: Step, *, _url: str) -> None: ...


def mistaken_unresolvable() -> None:
    @worker
    async def wrong(step: Step, *, url: Missing) -> None: ...  # type: ignore[name-defined] # noqa: F821


def mistaken_arbitrary_type() -> None:
    @worker
    async def wrong(step: Step, *, url: Executor) -> None: ...


def mistaken_model_name() -> None:
    @worker
    async def wrong(step: Step, *, model_dump: str) -> None: ...


def mistaken_sync_step() -> None:
    @worker
    async def wrong(step: SyncStep) -> None: ...


def mistaken_async_step() -> None:
    class Wrong(Worker):
        def perform(self, step: Step) -> None: ...


def mistaken_class() -> None:
    worker(cast("Any", Bare))


def mistaken_twice() -> None:
    worker(cast("Any", count))


def mistaken_perform() -> None:
    class Wrong(Worker):
        async def perform(self) -> None: ...


def mistaken_perform_with_arguments() -> None:
    class Wrong(Worker):
        async def perform(self, step: Step, url: str) -> None: ...


def mistaken_field() -> None:
    class Wrong(Worker):
        timeout: float  # type: ignore[assignment]

        async def perform(self, step: Step) -> None: ...


def mistaken_default() -> None:
    class Wrong(Worker):
        perform: int = 5


def mistaken_both() -> None:
    class Wrong(Worker, timeout=5):
        def timeout(self) -> float:
            return 6

        async def perform(self, step: Step) -> None: ...


def mistaken_named_base() -> None:
    class Wrong(Worker, name="nothing-to-do"): ...


def mistaken_async_backoff() -> None:
    class Wrong(Worker):
        async def backoff(self, attempt: int) -> float:  # type: ignore[override]
            return 1

        async def perform(self, step: Step) -> None: ...


def mistaken_plain_hook() -> None:
    class Wrong(Worker):
        def on_dep_cancelled(self, step: Step, dependency: str) -> None:  # type: ignore[override]
            return None

        async def perform(self, step: Step) -> None: ...


MISTAKES = [value for name, value in sorted(globals().items()) if name.startswith("mistaken_")]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_wrong_definition_is_told_at_once(mistake: Callable[[], None]) -> None:
    with pytest.raises(WorkerError) as caught:
        mistake()
    assert type(caught.value) is WorkerError
    assert caught.value.message
    for name in ("wrong", "Wrong"):
        assert registry.find(f"{__name__}.{mistake.__name__}.<locals>.{name}") is None


OPTIONS: list[tuple[str, Any]] = [
    ("queue", ""),
    ("queue", 5),
    ("max_attempts", 0),
    ("max_attempts", 32_768),
    ("max_attempts", True),
    ("priority", -1),
    ("priority", 1.5),
    ("tags", "eu"),
    ("tags", [1]),
    ("tags", 5),
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", math.nan),
    ("timeout", math.inf),
    ("timeout", "5"),
    ("timeout", timedelta(0)),
    ("backoff", -1),
    ("backoff", "5"),
    ("backoff", Bare.perform),
    ("executor", "a pool"),
    ("max_attempt", 3),
    ("schedule_in", 3),
]


@pytest.mark.parametrize(("option", "value"), OPTIONS)
def test_wrong_options_are_told_in_both_forms(option: str, value: Any) -> None:
    options: Any = {option: value}
    with pytest.raises((InvalidOptionError, InvalidNameError)) as in_class:

        class Wrong(Worker, **options):
            async def perform(self, step: Step) -> None: ...

    with pytest.raises((InvalidOptionError, InvalidNameError)) as in_function:

        @worker(**options)
        async def wrong(step: Step) -> None: ...

    # What is allowed is listed, and a function has two options more.
    if option in ("max_attempt", "schedule_in"):
        assert "max_attempts" in str(in_class.value)
    else:
        assert str(in_class.value) == str(in_function.value)


@pytest.mark.parametrize("hook", [5, lambda step, dependency: None])
def test_a_hook_of_a_function_is_async(hook: Any) -> None:
    with pytest.raises(InvalidOptionError, match="async function"):

        @worker(on_dep_cancelled=hook)
        async def wrong(step: Step) -> None: ...


async def test_a_static_method_is_a_function() -> None:
    class Jobs:
        @staticmethod
        @worker(name="static-job")
        async def job(step: Step, *, url: str) -> str:
            return url

    assert held_spec(Jobs.job.new(url="a")).name == "static-job"
    assert await Jobs.job(cast("Any", None), url="a") == "a"


def test_a_method_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(WorkerError, match="it is a method: move it out of the class"):
        mistaken_method()
