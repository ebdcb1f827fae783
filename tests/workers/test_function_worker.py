"""What is particular to workers written as functions, and to executors."""

from __future__ import annotations

import pickle
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any, cast

import pytest
from pydantic import Field

from baton import Step, SyncStep, Worker, worker
from baton.errors import InvalidArgsError, InvalidOptionError, WorkerError
from baton.workers import registry
from baton.workers.class_worker import job_of
from baton.workers.registry import WorkerSpec, held_spec

if TYPE_CHECKING:
    from collections.abc import Sequence as OnlyForCheckers

STEP = cast("Any", object())


@worker
def count(step: SyncStep, *, numbers: Annotated[list[int], Field(max_length=3)]) -> int:
    return sum(numbers)


class Count(Worker):
    numbers: Annotated[list[int], Field(max_length=3)]

    def perform(self, step: SyncStep) -> int:
        return sum(self.numbers)


def spec(name: str) -> WorkerSpec:
    found = registry.find(f"{__name__}.{name}")
    assert found is not None
    return found


class TestFunctions:
    async def test_a_call_is_a_plain_call(self) -> None:
        @worker
        async def double(step: Step, *, n: int) -> int:
            return 2 * n

        assert await double(STEP, n=4) == 8
        assert count(STEP, numbers=[1, 2]) == 3

    def test_a_plain_function_is_synchronous(self) -> None:
        built = spec("count").build('{"numbers": [1, 2, 3]}')
        assert not spec("count").is_async
        assert built.perform(STEP) == 6

    def test_constraints_hold(self) -> None:
        with pytest.raises(InvalidArgsError):
            count.new(numbers=[1, 2, 3, 4])
        with pytest.raises(InvalidArgsError):
            Count(numbers=[1, 2, 3, 4])

    def test_positional_arguments_go_by_order(self) -> None:
        @worker
        async def ordered(step: Step, a: int, b: int = 2) -> None: ...

        assert ordered.new(1, 5).args == '{"a":1,"b":5}'
        assert ordered.new(1).args == '{"a":1,"b":2}'
        for args, kwargs in (((1, 2, 3), {}), ((1,), {"a": 1})):
            with pytest.raises(InvalidArgsError):
                cast("Any", ordered).new(*args, **kwargs)

    def test_parameters_may_be_named_like_methods_of_the_model(self) -> None:
        @worker
        async def named(
            step: Step,
            *,
            json: str,
            schema: str = "s",
            copy: bool = True,
            timeout: float = 1,
            model_name: str = "m",
        ) -> list[Any]:
            return [json, schema, copy, timeout, model_name]

        built = held_spec(named).build(named.new(json="j").args)
        coroutine = built.perform(STEP)
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        assert stopped.value.value == ["j", "s", True, 1.0, "m"]

    def test_a_type_of_another_parameter_may_be_for_checkers_only(self) -> None:
        @worker
        async def lazy(step: OnlyForCheckers[int], *, n: int) -> None: ...

        assert lazy.new(n=1).args == '{"n":1}'

    def test_it_keeps_the_functions_identity(self) -> None:
        assert count.__name__ == "count"
        assert count.__module__ == __name__
        assert repr(count) == f"<worker {__name__}.count>"

    @pytest.mark.parametrize("name", ["Count", "count"])
    def test_what_an_executor_needs_can_be_pickled(self, name: str) -> None:
        built = spec(name).build('{"numbers": [4, 5]}')
        perform = pickle.loads(pickle.dumps(built.perform))
        assert perform(STEP) == 9


class TestExecutors:
    def test_one_is_made_once_and_only_when_needed(self) -> None:
        made: list[Executor] = []

        def make() -> Executor:
            made.append(ThreadPoolExecutor(1))
            return made[0]

        @worker(executor=make)
        def heavy(step: SyncStep) -> None: ...

        assert made == []
        executor = held_spec(heavy).executor
        assert executor is not None
        assert executor() is executor()
        assert len(made) == 1
        made[0].shutdown()

    def test_a_ready_one_is_taken(self) -> None:
        with ThreadPoolExecutor(1) as pool:

            class Heavy(Worker, executor=pool):
                def perform(self, step: SyncStep) -> int:
                    return 7

            found = held_spec(job_of(Heavy()))
            assert found.executor is not None
            assert found.executor() is pool
            assert pool.submit(found.build("{}").perform, STEP).result() == 7

    def test_a_function_that_makes_none_is_told(self) -> None:
        @worker(executor=cast("Any", lambda: "a pool"))
        def heavy(step: SyncStep) -> None: ...

        executor = held_spec(heavy).executor
        assert executor is not None
        with pytest.raises(InvalidOptionError, match="Executor"):
            executor()

    def test_an_async_worker_has_no_use_for_one(self) -> None:
        with pytest.raises(WorkerError, match="executor"):

            class Wrong(Worker, executor=ProcessPoolExecutor):
                async def perform(self, step: Step) -> None: ...

        with pytest.raises(WorkerError, match="executor"):

            @worker(executor=ProcessPoolExecutor)
            async def wrong(step: Step) -> None: ...
