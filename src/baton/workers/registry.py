"""The workers this process knows, by name. Nothing here ever imports a module: a name in a row of
the database is looked up, not executed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel

from baton.words.states import StepState
from baton.words.worker_errors import DuplicateWorkerError
from baton.workers.origin import Origin, advice, is_read_again


class BuiltWorker(Protocol):
    """A worker with the arguments of one job, ready to perform."""

    def perform(self, step: Any, /) -> Any:
        """The result, or an awaitable of it where the worker's spec is async."""
        ...

    def timeout(self) -> float | None:
        """Seconds an attempt may take; None: no limit."""
        ...

    def backoff(self, attempt: int) -> float | None:
        """Seconds before the attempt after `attempt`; None: Baton's own backoff."""
        ...


Hook: TypeAlias = Callable[[BuiltWorker, Any, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, eq=False)
class WorkerSpec:
    """One worker, whether it was written as a class or as a function."""

    name: str
    args: type[BaseModel]
    """Model of the arguments; its validated JSON is what a job stores."""
    is_async: bool
    build: Callable[[str], BuiltWorker] = field(repr=False)
    """From JSON text of the arguments. Raises InvalidArgsError."""
    defaults: Mapping[str, Any] = field(repr=False)
    """Job options of the worker: queue, max_attempts, priority, tags, where it sets them."""
    executor: Callable[[], Executor] | None = field(repr=False)
    """Where a synchronous `perform` runs, made at the first call; None: a thread."""
    hooks: Mapping[StepState, Hook] = field(repr=False)
    """Called as `await hook(built, step, dependency)`, by the state of the dependency."""
    returns: Callable[[], Any] = field(repr=False)
    """The annotated type of a result, Any where there is none or it cannot be resolved."""
    origin: Origin = field(repr=False)

    def hook(self, state: StepState) -> Hook | None:
        """What to call after a dependency that ended as `state` cancelled a step of this worker."""
        return self.hooks.get(state)


class HasSpec:
    """What `@worker` and `new` make: users hand it on, and do not see what it holds."""

    __slots__ = ()

    _spec: WorkerSpec


def held_spec(made: HasSpec) -> WorkerSpec:
    return made._spec


_specs: dict[str, WorkerSpec] = {}


def register(spec: WorkerSpec) -> None:
    """Make a worker known. The same definition, loaded again by a reload or under another module
    name, replaces the former one.

    Raises DuplicateWorkerError when another definition has the name.
    """
    known = _specs.get(spec.name)
    if known is not None and not is_read_again(spec.origin, known.origin):
        raise DuplicateWorkerError(
            spec.name, spec.origin.place, known.origin.place, advice(spec.origin)
        )
    _specs[spec.name] = spec


def find(name: str) -> WorkerSpec | None:
    """The worker registered under a name."""
    return _specs.get(name)


def names() -> tuple[str, ...]:
    """The names of all registered workers."""
    return tuple(_specs)
