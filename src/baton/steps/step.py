"""What a worker sees of the step it performs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload
from uuid import UUID

from baton.core.jsonvalue import decode
from baton.core.near_names import did_you_mean
from baton.runtime.meta import read_meta, workflow_name_of
from baton.steps.growth import CLOSED, Added, Grows, outside
from baton.steps.replay import WAITS, Replay, StepWaits, Suspension
from baton.steps.results import typed, typed_input
from baton.steps.transactions import OwnTransaction
from baton.steps.usage import Notes, capture_record, usage_record, write_captures, write_usage
from baton.store.results import (
    DependencyResult,
    read_dependency_names,
    read_input,
    read_own_result,
    read_result,
    read_results,
)
from baton.store.step_transactions import StepTransactions
from baton.store.store import Store
from baton.words.config import EngineSettings
from baton.words.rows import ClaimedJob, Growth
from baton.words.step_errors import (
    NoResultError,
    StepError,
    StepTransactionError,
    UndeclaredDependencyError,
)
from baton.words.wait_errors import WaitNotPossibleError
from baton.words.workflow_errors import NoInputError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class StepFacts(Grows):
    """What both kinds of step know. Outside a workflow the workflow's fields and the
    name are None.
    """

    workflow_id: UUID | None
    name: str | None
    job_id: int
    attempt: int
    """1 for the first attempt; an attempt that was snoozed or interrupted does not count."""
    max_attempts: int
    _meta: str = field(repr=False)
    model: str | None
    """The model chosen for this step when its workflow was built, if one was: see `Baton`."""
    debug: bool
    """Whether what this step captures is kept."""
    _capture_limit: int = field(repr=False)

    @property
    def meta(self) -> dict[str, Any]:
        """The job's `meta`, read from its JSON text at each call: few steps look at it."""
        return read_meta(self._meta)

    @property
    def workflow_name(self) -> str | None:
        """The workflow's name, if it was given one."""
        return workflow_name_of(self._meta) if self.workflow_id else None


class Step(StepFacts, StepWaits, OwnTransaction):
    """The step an `async def perform` works on."""

    __slots__ = ("_database", "_job", "_own", "_replay", "_transactions")

    _database: Store
    _job: ClaimedJob
    _replay: Replay

    def _adding(self, name: str) -> Added:
        if self.workflow_id is None:
            raise outside(name)
        if self._replay.added is None:
            self._replay.added = Added()
        return self._replay.added

    @overload
    async def result(self, name: str) -> Any: ...

    @overload
    async def result(self, name: str, type: type[T]) -> T: ...

    @overload
    async def result(self, name: str, type: Any) -> Any: ...

    async def result(self, name: str, type: Any = None) -> Any:
        """The stored result of a declared dependency, as plain JSON values or validated as `type`.

        `type` is anything pydantic can validate. Raises UndeclaredDependencyError, NoResultError
        (the dependency was skipped, or it was cancelled or discarded and this step ignores that),
        ResultTypeError.
        """
        node = self._job.node
        found = await read_result(self._database, self.job_id, name) if node else None
        if found is None or not found.declared:
            declared = await read_dependency_names(self._database, self.job_id) if node else ()
            raise _undeclared(self.name, name, declared)
        if found.result is None:
            raise NoResultError(str(self.name), name, found.state)
        return typed(found.result, type, step=str(self.name), dependency=name)

    async def results(self) -> dict[str, Any]:
        """The stored results of all dependencies that have one, by name, in declared order."""
        return {name: decode(text) for name, _, text in await self._results()}

    async def results_by_model(self) -> dict[str, Any]:
        """The stored results of the dependencies that have a model, by model, in declared order.

        Raises StepError when two of them have the same model: read those by name.
        """
        return _by_model(self.name, await self._results())

    async def _results(self) -> Sequence[DependencyResult]:
        # A job outside workflows may have the id of a step: its results are not for it.
        return await read_results(self._database, self.job_id) if self._job.node else ()

    @overload
    async def input(self) -> Any: ...

    @overload
    async def input(self, type: type[T]) -> T: ...

    @overload
    async def input(self, type: Any) -> Any: ...

    async def input(self, type: Any = None) -> Any:
        """The workflow's input, as plain JSON values or validated as `type`. Raises NoInputError
        where there is none, InputTypeError.
        """
        text = await read_input(self._database, self.job_id) if self._job.node else None
        if text is None:
            raise NoInputError(self.workflow_id)
        return typed_input(text, type)

    async def own_result(self) -> Any:
        """This step's own stored result, or None when nothing is stored."""
        text = await read_own_result(self._database, self.job_id) if self._job.node else None
        return None if text is None else decode(text)

    async def record_usage(
        self,
        *,
        model: str | None = None,
        provider: str | None = None,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        latency_ms: int | None = None,
    ) -> None:
        """Record one use of a model, at once and in a transaction of its own: it stays whatever
        becomes of this attempt. Call it once per request; every record of every attempt counts.

        `input_tokens` is all the input, the tokens read from and written to a cache included;
        `cache_read_tokens` and `cache_write_tokens` tell how much of it those are. So do
        OpenTelemetry's GenAI conventions (`gen_ai.usage.cache_read.input_tokens` "SHOULD be
        included in `gen_ai.usage.input_tokens`") and genai-prices ("`input_tokens` is the total
        number of input tokens"), which sets the cost. Anthropic's API counts them apart: add them.

        `model` is the step's own unless given; `provider` tells apart who offers a model at which
        price ("openai", "azure"). The cost is that of the moment, None when no price is known: see
        `docs/statistics.md`. `latency_ms` is in milliseconds.

        Raises InvalidOptionError and InvalidNameError, then nothing was written. A failure of the
        database is logged and does not fail the step.
        """
        record = usage_record(
            self.model if model is None else model,
            provider,
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            latency_ms,
        )
        await write_usage(self._database, self._job, record)

    async def capture(self, label: str, content: Any) -> None:
        """Keep a value for debugging, for instance the context window a model was given.

        Without debug (`debug`: of the workflow, `Baton(debug=True)`, or of the engine) nothing is
        looked at or written. With it, `content` is any value that JSON can hold, up to the engine's
        `capture_limit`.

        Raises InvalidNameError for the label, NotStorableError, TooLargeError. A failure of the
        database is logged and does not fail the step.
        """
        if self.debug:
            record = capture_record(label, content, self._capture_limit)
            await write_captures(self._database, self._job, record)


@dataclass(frozen=True, slots=True, eq=False)
class SyncStep(StepFacts):
    """The step a plain `def perform` works on: results are read before it starts, so it needs no
    loop.

    It can be pickled, to travel to an executor's process.
    """

    _dependencies: tuple[str, ...] = field(repr=False)
    _stored: Mapping[str, DependencyResult] = field(repr=False)
    _notes: Notes = field(repr=False)

    def _adding(self, name: str) -> Added:
        if self.workflow_id is None:
            raise outside(name)
        if self._notes.added is None:
            self._notes.added = Added()
        return self._notes.added

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in WAITS:
                raise WaitNotPossibleError(
                    self.name,
                    f"{name} needs 'async def': a plain function cannot be left and resumed",
                )
            if name in ("transaction", "session"):
                raise StepTransactionError(
                    self.name, f"needs 'async def perform': a plain one has no step.{name}()"
                )
            if name == "input":
                raise AttributeError(
                    "a plain 'def' takes the workflow's input, or a part of it, as an argument: "
                    "flow.input or flow.input_as(…)"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @overload
    def result(self, name: str) -> Any: ...

    @overload
    def result(self, name: str, type: type[T]) -> T: ...

    @overload
    def result(self, name: str, type: Any) -> Any: ...

    def result(self, name: str, type: Any = None) -> Any:
        """As `Step.result`, without await."""
        if name not in self._dependencies:
            raise _undeclared(self.name, name, self._dependencies)
        if name not in self._stored:
            raise NoResultError(str(self.name), name, None)
        return typed(self._stored[name].result, type, step=str(self.name), dependency=name)

    def results(self) -> dict[str, Any]:
        """As `Step.results`, without await."""
        return {name: decode(found.result) for name, found in self._stored.items()}

    def results_by_model(self) -> dict[str, Any]:
        """As `Step.results_by_model`, without await."""
        return _by_model(self.name, self._stored.values())

    def record_usage(
        self,
        *,
        model: str | None = None,
        provider: str | None = None,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        latency_ms: int | None = None,
    ) -> None:
        """As `Step.record_usage`, without await: checked and priced at once, written by the engine
        when the call has returned or raised; in a thread that outlives its timeout, when it is
        recorded. An attempt in another process that times out or is interrupted loses its records.
        """
        record = usage_record(
            self.model if model is None else model,
            provider,
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            latency_ms,
        )
        self._notes.add(record)

    def capture(self, label: str, content: Any) -> None:
        """As `Step.capture`, without await; written when `record_usage` says."""
        if self.debug:
            self._notes.add(capture_record(label, content, self._capture_limit))


def step_of(
    job: ClaimedJob,
    database: Store,
    settings: EngineSettings,
    transactions: StepTransactions | None = None,
) -> Step:
    """The step of a claimed job; without `transactions` it may have none of its own."""
    step = Step(*_facts(job, settings))
    object.__setattr__(step, "_transactions", transactions)
    object.__setattr__(step, "_database", database)
    object.__setattr__(step, "_job", job)
    replay = Replay(database, job.id, step.name, step.workflow_id)
    object.__setattr__(step, "_replay", replay)
    return step


def suspension_of(step: Step) -> Suspension | None:
    """What the step waits for; None where no wait has ended the run of its body."""
    return step._replay.suspension


async def sync_step_of(job: ClaimedJob, database: Store, settings: EngineSettings) -> SyncStep:
    """The step of a claimed job, its dependencies' results read."""
    names: tuple[str, ...] = ()
    stored: dict[str, DependencyResult] = {}
    if job.node is not None and job.node.dependencies:
        names = await read_dependency_names(database, job.id)
        stored = {found.name: found for found in await read_results(database, job.id)}
    return SyncStep(*_facts(job, settings), names, stored, Notes())


def growth_of(step: Step | SyncStep) -> Growth | None:
    """What the step adds to its workflow; from now on it adds no more."""
    if isinstance(step, Step):
        added, step._replay.added = step._replay.added, CLOSED
    else:
        added, step._notes.added = step._notes.added, CLOSED
    return None if added is None else added.growth(step.name)


def notes_of(step: SyncStep) -> Notes:
    """What the step recorded and captured."""
    return step._notes


_Facts: TypeAlias = tuple[UUID | None, str | None, int, int, int, str, str | None, bool, int]


def _facts(job: ClaimedJob, settings: EngineSettings) -> _Facts:
    node = job.node
    return (
        node.workflow_id if node else None,
        node.name if node else None,
        job.id,
        job.attempt,
        job.max_attempts,
        job.meta,
        node.model if node else None,
        settings.debug or (node is not None and node.debug),
        settings.capture_limit,
    )


def _undeclared(
    step: str | None, dependency: str, declared: Sequence[str]
) -> UndeclaredDependencyError:
    near = did_you_mean(dependency, declared)
    return UndeclaredDependencyError(str(step), dependency, declared, near)


def _by_model(step: str | None, found: Iterable[DependencyResult]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, model, text in found:
        if model in results:
            raise StepError(
                f"step {step!r} reads results by model, but several of its dependencies have the "
                f"model {model!r}, one of them {name!r}: read them by name",
                step=step,
                dependency=name,
                model=model,
            )
        if model is not None:
            results[model] = decode(text)
    return results
