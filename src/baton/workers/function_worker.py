"""Workers written as functions."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial, update_wrapper
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    overload,
)

from pydantic import BaseModel, create_model
from pydantic.errors import PydanticUserError

from baton.words.argument_errors import InvalidArgsError
from baton.words.states import StepState
from baton.words.worker_errors import WorkerError
from baton.workers import registry
from baton.workers.args import ARGS_CONFIG, NewJob, decode_args, new_job_of
from baton.workers.class_worker import check_executor, job_defaults
from baton.workers.options import FunctionOptions, worker_options
from baton.workers.origin import default_name, origin_of_function
from baton.workers.registry import BuiltWorker, HasSpec, Hook, WorkerSpec
from baton.workers.signature import argument_fields, is_async, result_type

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_NO_STEP = object()


class FunctionWorker(HasSpec, Generic[S, P, R, T]):
    """A function as a worker; made by `@worker`. `R` is what a call returns, `T` the result.

    `new(…)` gives the job to add to a workflow; a call, `process(step, url=…)`, is a plain call.
    """

    __name__: str

    def __init__(
        self, function: Callable[Concatenate[S, P], R], options: Mapping[str, Any]
    ) -> None:
        update_wrapper(self, function)
        self._function = function
        self._options = worker_options(options, _OPTIONS)
        self._spec = _define(self, function, self._options)

    def new(self, *args: P.args, **kwargs: P.kwargs) -> NewJob[T]:
        """The job that performs this function with these arguments.

        An argument, or a part of one, may be a reference: `a.output` of `a = flow.step(…)`.

        Raises InvalidArgsError; NotStorableError for what JSON cannot hold; ReferenceTypeError.
        """
        if args:
            kwargs = self._by_name(args, kwargs)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        return new_job_of(self._spec, kwargs)

    if TYPE_CHECKING:

        def __call__(self, step: S, *args: P.args, **kwargs: P.kwargs) -> R: ...

    else:

        def __call__(self, step=_NO_STEP, *args, **kwargs):
            if step is _NO_STEP:
                raise InvalidArgsError(self._spec.name, kwargs, [_without_step(self, kwargs)])
            return self._function(step, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<worker {self._spec.name}>"

    def __reduce__(self) -> str:
        # By name, so that a process pool finds the function behind it.
        return self.__qualname__  # type: ignore[attr-defined, no-any-return]  # pyright: ignore[reportAttributeAccessIssue]

    def _by_name(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        names = list(self._spec.args.model_fields)[: len(args)]
        if len(names) < len(args) or kwargs.keys() & set(names):
            problem = "give each argument once, by name; the step is not one of them"
            raise InvalidArgsError(self._spec.name, (args, dict(kwargs)), [problem])
        return {**dict(zip(names, args, strict=True)), **kwargs}


def _without_step(worker: FunctionWorker[Any, ..., Any, Any], given: Iterable[str]) -> str:
    arguments = ", ".join(f"{name}=…" for name in given)
    return (
        "a call needs the step as its first argument; "
        f"the job to add is {worker.__name__}.new({arguments})"
    )


class _BuiltFunction:
    # Only what pickles: a process pool gets it whole.
    __slots__ = ("_values", "_worker")

    def __init__(
        self, worker: FunctionWorker[Any, ..., Any, Any], values: Mapping[str, Any]
    ) -> None:
        self._worker = worker
        self._values = values

    def perform(self, step: Any, /) -> Any:
        return self._worker(step, **self._values)

    def timeout(self) -> float | None:
        return self._worker._options.get("timeout")

    def backoff(self, attempt: int) -> float | None:
        backoff = self._worker._options.get("backoff")
        return None if backoff is None else backoff(attempt)


class WorkerDecorator(Protocol):
    """What `@worker(…)` makes of its options."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[S, P], Coroutine[Any, Any, T]], /
    ) -> FunctionWorker[S, P, Coroutine[Any, Any, T], T]: ...

    @overload
    def __call__(
        self, function: Callable[Concatenate[S, P], T], /
    ) -> FunctionWorker[S, P, T, T]: ...


@overload
def worker(
    function: Callable[Concatenate[S, P], Coroutine[Any, Any, T]], /
) -> FunctionWorker[S, P, Coroutine[Any, Any, T], T]: ...


@overload
def worker(function: Callable[Concatenate[S, P], T], /) -> FunctionWorker[S, P, T, T]: ...


@overload
def worker(**options: Unpack[FunctionOptions]) -> WorkerDecorator: ...


def worker(
    function: Callable[..., Any] | None = None, /, **options: Unpack[FunctionOptions]
) -> Any:
    """Make a function a worker.

        @worker(queue="io", timeout=30)
        async def process(step: Step, *, url: str) -> int:
            ...

        Baton().add("b", process.new(url="a.com"))

    The parameters after the step are the job's arguments, with their types validated by pydantic.
    Options and results are those of `Worker`; besides, `on_dep_cancelled` and `on_dep_discarded`
    may be async functions of (step, dependency). Raises WorkerError, InvalidOptionError.
    """
    if function is None:
        return partial(FunctionWorker, options=options)
    return FunctionWorker(function, options)


_OPTIONS = tuple(FunctionOptions.__annotations__)


def _define(
    owner: FunctionWorker[Any, Any, Any, Any], function: Callable[..., Any], options: dict[str, Any]
) -> WorkerSpec:
    if not inspect.isfunction(function):
        raise WorkerError(
            f"@worker is for functions, not for {function!r}; a class derives from Worker instead"
        )
    where = f"worker {function.__qualname__}"
    asynchronous = is_async(where, function)
    check_executor(where, options, asynchronous)
    model = _args_model(where, function)
    name: str = options.get("name") or default_name(function)

    def build(args: str) -> BuiltWorker:
        # Fields by their stored values: a parameter may be named like a method of the model.
        return _BuiltFunction(owner, decode_args(name, model, args).__dict__)

    spec = WorkerSpec(
        name=name,
        args=model,
        is_async=asynchronous,
        build=build,
        defaults=job_defaults(options),
        executor=options.get("executor"),
        hooks=_hooks(options),
        returns=partial(result_type, function),
        origin=origin_of_function(function, named="name" in options),
    )
    registry.register(spec)
    return spec


def _hooks(options: Mapping[str, Any]) -> dict[StepState, Hook]:
    def hook(given: Callable[[Any, str], Any]) -> Hook:
        return lambda built, step, dependency: given(step, dependency)

    states = (StepState.CANCELLED, StepState.DISCARDED)
    return {state: hook(given) for state in states if (given := options.get(f"on_dep_{state}"))}


def _args_model(where: str, function: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = argument_fields(where, function)
    for name in fields:
        if name.startswith("model_") and hasattr(BaseModel, name):
            raise WorkerError(
                f"{where}: {name!r} is a name of pydantic's; give the parameter another one"
            )
    try:
        with warnings.catch_warnings():
            # A parameter may be called "json" or "schema": nobody calls the model's methods of that
            # name.
            warnings.filterwarnings("ignore", "Field name .* shadows", UserWarning)
            return create_model(
                function.__name__, __config__=ARGS_CONFIG, __module__=function.__module__, **fields
            )
    except PydanticUserError as error:
        raise WorkerError(f"{where}: {error}") from error
