"""What a worker sees of the step it performs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, overload
from uuid import UUID

from baton.core.jsonvalue import decode
from baton.engine.meta import read_meta, workflow_label
from baton.store.database import Database
from baton.store.results import (
    read_dependency_names,
    read_own_result,
    read_result,
    read_results,
)
from baton.words.errors import NoResultError, UndeclaredDependencyError
from baton.words.rows import ClaimedJob
from baton.words.wait_errors import WaitNotPossibleError
from baton.workflow.results import typed
from baton.workflow.step_waits import WAITS, Replay, StepWaits

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class StepFacts:
    """What both kinds of step know. Outside a workflow the workflow's fields and the
    name are None.
    """

    workflow_id: UUID | None
    name: str | None
    job_id: int
    attempt: int
    """1 for the first attempt; an attempt that was snoozed or interrupted does not count."""
    max_attempts: int
    meta_text: str = field(repr=False)

    @property
    def meta(self) -> dict[str, Any]:
        """The job's `meta`, read from its JSON text at each call: few steps look at it."""
        return read_meta(self.meta_text)

    @property
    def workflow_name(self) -> str | None:
        """The workflow's name, if it was given one."""
        return workflow_label(self.meta_text) if self.workflow_id else None


class Step(StepFacts, StepWaits):
    """The step an `async def perform` works on."""

    __slots__ = ("_database", "replay")

    _database: Database
    replay: Replay

    @classmethod
    def of(cls, job: ClaimedJob, database: Database) -> Step:
        """The step of a claimed job."""
        step = cls(*_facts(job))
        object.__setattr__(step, "_database", database)
        replay = Replay(database, job.id, step.name, step.workflow_id)
        object.__setattr__(step, "replay", replay)
        return step

    @overload
    async def result(self, name: str) -> Any: ...

    @overload
    async def result(self, name: str, type: type[T]) -> T: ...

    async def result(self, name: str, type: Any = None) -> Any:
        """The stored result of a declared dependency, as plain JSON values or validated as `type`.

        `type` is anything pydantic can validate. Raises UndeclaredDependencyError, NoResultError
        (the dependency was cancelled or discarded and this step ignores that), ResultTypeError.
        """
        found = await read_result(self._database, self.job_id, name)
        if found is None or not found.declared:
            declared = await read_dependency_names(self._database, self.job_id)
            raise UndeclaredDependencyError(str(self.name), name, declared)
        if found.result is None:
            raise NoResultError(str(self.name), name, found.state)
        return typed(found.result, type, step=str(self.name), dependency=name)

    async def results(self) -> dict[str, Any]:
        """The stored results of all dependencies that have one, by name, in declared order."""
        texts = await read_results(self._database, self.job_id)
        return {name: decode(text) for name, text in texts.items()}

    async def own_result(self) -> Any:
        """This step's own stored result, or None when nothing is stored."""
        text = await read_own_result(self._database, self.job_id)
        return None if text is None else decode(text)


@dataclass(frozen=True, slots=True, eq=False)
class SyncStep(StepFacts):
    """The step a plain `def perform` works on: results are read before it starts, so it needs no
    loop.

    It can be pickled, to travel to an executor's process.
    """

    dependencies: tuple[str, ...] = field(repr=False)
    result_texts: Mapping[str, str] = field(repr=False)

    @classmethod
    async def of(cls, job: ClaimedJob, database: Database) -> SyncStep:
        """The step of a claimed job, its dependencies' results read."""
        names: tuple[str, ...] = ()
        texts: dict[str, str] = {}
        if job.node is not None and job.node.dependencies:
            names = await read_dependency_names(database, job.id)
            texts = await read_results(database, job.id)
        return cls(*_facts(job), names, texts)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in WAITS:
                raise WaitNotPossibleError(
                    self.name,
                    f"{name} needs 'async def': a plain function cannot be left and resumed",
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @overload
    def result(self, name: str) -> Any: ...

    @overload
    def result(self, name: str, type: type[T]) -> T: ...

    def result(self, name: str, type: Any = None) -> Any:
        """As `Step.result`, without await."""
        if name not in self.dependencies:
            raise UndeclaredDependencyError(str(self.name), name, self.dependencies)
        if name not in self.result_texts:
            raise NoResultError(str(self.name), name, None)
        return typed(self.result_texts[name], type, step=str(self.name), dependency=name)

    def results(self) -> dict[str, Any]:
        """As `Step.results`, without await."""
        return {name: decode(text) for name, text in self.result_texts.items()}


def _facts(job: ClaimedJob) -> tuple[UUID | None, str | None, int, int, int, str]:
    node = job.node
    return (
        node.workflow_id if node else None,
        node.name if node else None,
        job.id,
        job.attempt,
        job.max_attempts,
        job.meta,
    )
