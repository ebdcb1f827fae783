"""Workers written as classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Unpack

from pydantic import BaseModel, ValidationError

from baton.steps.rules import Rules
from baton.steps.step import Step
from baton.steps.step_job import StepJob
from baton.steps.step_options import StepOptions
from baton.words.reference_errors import ReferenceUseError
from baton.words.rows import NewStep
from baton.words.states import StepState
from baton.words.worker_errors import WorkerError
from baton.workers import registry
from baton.workers.args import ARGS_CONFIG, NewJob, decode_args, fill_partially, new_job
from baton.workers.options import WorkerOptions, worker_options
from baton.workers.origin import default_name, origin_of_class
from baton.workers.registry import BuiltWorker, Hook, WorkerSpec
from baton.workers.signature import check_default, check_method, is_async, result_type

__all__ = [
    "BuiltWorker",
    "NewJob",
    "Worker",
    "WorkerSpec",
    "job_defaults",
    "job_of",
]

_RESERVED = ("perform", "timeout", "backoff", "on_dep_cancelled", "on_dep_discarded")


class Worker(BaseModel, StepJob):
    """Base of workers: the fields are the job's arguments, validated when an instance is built.

        class FetchToken(Worker, queue="io", max_attempts=5):
            api_key: str

            async def perform(self, step: Step) -> str:
                ...

    `perform` returns the step's result, any JSON value, or a Snooze, Cancel or Discard; what it
    raises is tried again. A plain `def perform(self, step: SyncStep)` runs in a thread, or in
    `executor`.

    Class options, inherited by subclasses: `queue` ("default"), `max_attempts` (20), `priority` (0,
    lower runs first), `tags`, `timeout` (seconds or timedelta per attempt), `backoff` (seconds
    before the next attempt, or a function of the attempt), `executor` (a
    concurrent.futures.Executor or a function that makes one). `name`, not inherited, is how rows
    refer to the worker; "module.qualname" unless given.

    A subclass without `perform` is a base for others and cannot be built. Arguments that are
    unknown or invalid raise InvalidArgsError, a wrong definition WorkerError.
    """

    model_config = ARGS_CONFIG

    __baton_spec__: ClassVar[WorkerSpec | None] = None
    __baton_options__: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, /, **data: Any) -> None:
        spec = spec_of(type(self))
        try:
            # As BaseModel's, and nested models too are read by their fields' names, which is how
            # stored arguments come.
            self.__pydantic_validator__.validate_python(
                data, self_instance=self, by_alias=True, by_name=True
            )
        except (ValidationError, ReferenceUseError) as error:
            fill_partially(spec.name, self, data, error)

    def timeout(self) -> float | None:
        """Seconds an attempt may take, None for no limit. Override it to let it depend on the
        arguments.
        """
        return self.__baton_options__.get("timeout")

    def backoff(self, attempt: int) -> float | None:
        """Seconds to wait after attempt `attempt` (from 1) failed; None leaves it to Baton."""
        backoff: Callable[[int], float] | None = self.__baton_options__.get("backoff")
        return None if backoff is None else backoff(attempt)

    async def on_dep_cancelled(self, step: Step, dependency: str) -> None:
        """Called, best effort and once, after this step was cancelled because `dependency` was
        cancelled.
        """

    async def on_dep_discarded(self, step: Step, dependency: str) -> None:
        """Called, best effort and once, after this step was cancelled because `dependency` was
        discarded.
        """

    def _as_step(self, name: str, rules: Rules, options: StepOptions) -> NewStep:
        return job_of(self)._as_step(name, rules, options)

    def __init_subclass__(cls, **options: Unpack[WorkerOptions]) -> None:
        # Before pydantic warns about the fields; unevaluated, they may refer to what comes later.
        for name in cls.__dict__.get("__annotations__", ()):  # noqa: RUF063
            _check_field(cls, name)
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        for name, field in cls.model_fields.items():
            _check_field(cls, name)
            if not field.metadata and cls.__pydantic_complete__:
                check_default(cls.__qualname__, name, field.annotation, field.default)
        checked = worker_options(options, WorkerOptions.__annotations__)
        for name in checked.keys() & cls.__dict__.keys():
            raise WorkerError(
                f"{cls.__qualname__} has both a method and an option {name!r}; keep one"
            )
        name = checked.pop("name", None)
        cls.__baton_options__ = {**cls.__baton_options__, **checked}
        cls.__baton_spec__ = _define(cls, name)


def spec_of(worker: type[Worker]) -> WorkerSpec:
    """The spec of a worker class. Raises WorkerError for one without `perform`."""
    spec = worker.__baton_spec__
    if spec is None:
        raise WorkerError(
            f"{worker.__qualname__} has no perform method: "
            "define 'async def perform(self, step: Step)' in a subclass"
        )
    return spec


def job_of(worker: Worker) -> NewJob:
    """The job that performs a built worker. Raises NotStorableError."""
    return new_job(spec_of(type(worker)), worker)


def with_arguments(job: StepJob) -> StepJob:
    """A job whose arguments are encoded, and so its references found. Raises NotStorableError."""
    return job_of(job) if isinstance(job, Worker) else job


def job_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a worker's options that its jobs store."""
    return {
        name: options[name]
        for name in ("queue", "max_attempts", "priority", "tags")
        if name in options
    }


def check_executor(where: str, options: Mapping[str, Any], asynchronous: bool) -> None:
    """Raises WorkerError for an executor where there is nothing to run in it."""
    if asynchronous and options.get("executor") is not None:
        raise WorkerError(f"{where} is async: an executor runs only a plain 'def', not 'async def'")


def _define(cls: type[Worker], name: str | None) -> WorkerSpec | None:
    perform: Any = getattr(cls, "perform", None)
    if perform is None or getattr(perform, "__isabstractmethod__", False):
        if name is not None:
            raise WorkerError(f"{cls.__qualname__} is named {name!r} and has no perform method")
        return None
    where = f"{cls.__qualname__}.perform"
    asynchronous = is_async(where, perform)
    check_method(where, perform)
    check_executor(where, cls.__baton_options__, asynchronous)
    for method in ("timeout", "backoff"):
        if not callable(getattr(cls, method)) or inspect.iscoroutinefunction(getattr(cls, method)):
            raise WorkerError(f"{cls.__qualname__}.{method} must be a plain method")
    known = default_name(cls) if name is None else name

    def build(args: str) -> BuiltWorker:
        built: Any = decode_args(known, cls, args)
        return built  # type: ignore[no-any-return]

    spec = WorkerSpec(
        name=known,
        args=cls,
        is_async=asynchronous,
        build=build,
        defaults=job_defaults(cls.__baton_options__),
        executor=cls.__baton_options__.get("executor"),
        hooks=_hooks(cls),
        returns=partial(result_type, perform),
        origin=origin_of_class(cls, named=name is not None),
    )
    registry.register(spec)
    return spec


def _hooks(cls: type[Worker]) -> dict[StepState, Hook]:
    hooks: dict[StepState, Hook] = {}
    for state in (StepState.CANCELLED, StepState.DISCARDED):
        hook: Any = getattr(cls, f"on_dep_{state}")
        if hook is getattr(Worker, f"on_dep_{state}"):
            continue
        if not inspect.iscoroutinefunction(hook):
            raise WorkerError(
                f"{cls.__qualname__}.on_dep_{state} must be 'async def (self, step, dependency)'"
            )
        hooks[state] = hook
    return hooks


def _check_field(cls: type[Worker], name: str) -> None:
    if name in _RESERVED:
        raise WorkerError(
            f"{cls.__qualname__} has a field {name!r}, which is a method of Worker; "
            "give the field another name"
        )
