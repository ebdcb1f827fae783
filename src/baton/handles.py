"""Handles: one workflow, and one queue, of an engine, with what may be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, overload, runtime_checkable
from uuid import UUID

from baton.core.checks import check_queue_limit, check_reason, check_run, parse_workflow_id, seconds
from baton.core.errortext import sanitize
from baton.core.names import validate_step_name
from baton.reading.insights import Insights
from baton.reading.missing_steps import missing_step
from baton.reading.statistics import workflow_captures, workflow_usage
from baton.runs.actions import emit_action, told
from baton.runs.cancel import cancel_step, cancel_workflow
from baton.runs.retry import asked, retry_workflow
from baton.runtime.queues import Queue
from baton.runtime.runtime import Runtime
from baton.runtime.tasks import to_the_end
from baton.settling.cascade_hooks import CascadeHooks
from baton.settling.completion_waiters import CompletionWaiters
from baton.settling.settle_and_claim import WorkflowLedger
from baton.settling.wait_events import emit_settled_waits
from baton.steps.results import typed
from baton.store.ambient import Instance, opened
from baton.store.borrowed import CallersConnection
from baton.store.results import read_step_result
from baton.waits.control import cancel_wait
from baton.waits.send import send_event
from baton.words.argument_errors import InvalidArgumentError
from baton.words.effects import Effects
from baton.words.insights import StepRow, WorkflowDetail
from baton.words.paging import Page
from baton.words.rows import Announced, Capture, Completion, WaitingStep, WorkflowUsage
from baton.words.runs import Retried, RetryMode
from baton.words.states import Delivery, JobState
from baton.words.step_errors import NoResultError
from baton.words.workflow_errors import StepSettledError, UnknownWorkflowError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EngineParts:
    """The parts of an engine, as `wiring` puts them together."""

    engine: Instance
    waiters: CompletionWaiters
    hooks: CascadeHooks
    ledger: WorkflowLedger
    runtime: Runtime
    finished: Callable[[Sequence[Announced]], None]


class WorkflowHandle:
    """One workflow, as an engine reaches it: `engine.workflow(workflow_id)`.

    A handle asks nothing when it is made: an unknown workflow is noticed by the calls. All raise
    EngineStateError unless the engine runs, and UnavailableError when the database cannot be
    reached.
    """

    def __init__(self, parts: EngineParts, workflow_id: UUID | str) -> None:
        self._parts = parts
        self._workflow_id = parse_workflow_id(workflow_id)

    @property
    def workflow_id(self) -> UUID:
        return self._workflow_id

    def __repr__(self) -> str:
        return f"<WorkflowHandle {self._workflow_id} of engine {self._name!r}>"

    @property
    def _name(self) -> str:
        return self._parts.engine.settings.name

    def _opened(self, call: str) -> Instance:
        return opened(call, self._parts.engine)

    async def completion(
        self, *, timeout: float | None = None, run: int | None = None
    ) -> Completion:
        """Wait for the end of a run of the workflow: its outcome and failed steps. `timeout` in
        seconds, None for no bound. `run` counts from 1; None is the run that is current at the
        call.

        Raises UnknownWorkflowError, UnknownRunError, or CompletionTimeoutError; the workflow goes
        on after each.
        """
        self._opened("completion")
        if timeout is not None:
            timeout = seconds("timeout", timeout)
        if run is not None:
            check_run(run)
        return await self._parts.waiters.wait(self._workflow_id, timeout, run)

    @overload
    async def result(self, step: str) -> Any: ...

    @overload
    async def result(self, step: str, type: type[T]) -> T: ...

    @overload
    async def result(self, step: str, type: Any) -> Any: ...

    async def result(self, step: str, type: Any = None) -> Any:
        """The stored result of a step, as plain JSON values or validated as `type`.

        Raises UnknownWorkflowError, UnknownStepError, NoResultError (it has not completed),
        ResultTypeError, InvalidNameError.
        """
        database = self._opened("result").database
        name = validate_step_name(step)
        found = await read_step_result(database, self._workflow_id, name)
        if found is None:
            raise await missing_step(database, self._workflow_id, name)
        state, text = found
        if text is None:
            raise NoResultError(None, name, state)
        return typed(text, type, step=None, dependency=name)

    async def status(self) -> WorkflowDetail:
        """The workflow, its steps counted by state, and its completion; see
        `Insights.workflow`. Raises UnknownWorkflowError.
        """
        return await self._insights("status").workflow(self._workflow_id)

    async def steps(
        self, *, state: JobState | str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[StepRow]:
        """The steps of the workflow, in the order they were added; see `Insights.steps`. Raises
        UnknownWorkflowError, InvalidOptionError.
        """
        return await self._insights("steps").steps(
            self._workflow_id, state=state, after=after, limit=limit
        )

    async def cancel(self, reason: str = "cancelled by request", *, by: str | None = None) -> int:
        """Cancel every unfinished step of the workflow; returns how many jobs that cancelled.

        Steps that run are interrupted, wherever they run, and whatever they still report is
        dropped. The workflow ends at once, as failed. A workflow that has ended is left alone (0).
        `by` says who cancels, for the record of actions.
        Raises UnknownWorkflowError; UnavailableError when it is unknown whether that was done, so
        that the call may be made again.
        """
        self._opened("cancel")
        check_reason(reason)
        actor = told(by, None).by
        return await to_the_end(self._cancel(sanitize(reason), actor))

    async def _cancel(self, reason: str, by: str | None) -> int:
        engine = self._parts.engine
        effects = await cancel_workflow(
            engine.database, self._workflow_id, reason, notify=engine.settings.notify, by=by
        )
        if effects is None:
            raise UnknownWorkflowError(self._workflow_id)
        self._done(effects)
        return len(effects.accepted)

    async def cancel_step(
        self, name: str, reason: str = "cancelled by request", *, by: str | None = None
    ) -> int:
        """Cancel one step, and below it whatever does not ignore that; returns how many jobs that
        cancelled.

        A step that runs is interrupted, wherever it runs, and whatever it still reports is dropped.
        `by` says who cancels, for the record of actions.
        Raises StepSettledError, UnknownWorkflowError, UnknownStepError; UnavailableError when it is
        unknown whether that was done, so that the call may be made again.
        """
        self._opened("cancel_step")
        step = validate_step_name(name)
        check_reason(reason)
        actor = told(by, None).by
        return await to_the_end(self._cancel_step(step, sanitize(reason), actor))

    async def _cancel_step(self, step: str, reason: str, by: str | None) -> int:
        engine = self._parts.engine
        found = await cancel_step(
            engine.database, self._workflow_id, step, reason, notify=engine.settings.notify, by=by
        )
        if found is None:
            raise await missing_step(engine.database, self._workflow_id, step)
        self._done(found.effects)
        if found.ended is not None:
            raise StepSettledError(self._workflow_id, step, found.ended)
        return len(found.effects.cancelled)

    async def retry(
        self,
        mode: RetryMode | str = RetryMode.FAILED,
        *,
        steps: Iterable[str] | None = None,
        args: Mapping[str, Mapping[str, Any]] | None = None,
        keep_memos: bool = False,
        interrupt: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> Retried:
        """Begin steps anew, in a new run if the workflow has ended.

        `mode` is "failed" (what was cancelled or discarded), "failed_and_downstream" (also what
        completed below, because it ignores failures) or "all"; or `steps` names some: these and
        everything below them, whatever their state. `args` replaces arguments by step. A step that
        is begun anew has a full budget of attempts; its attempts and errors go on. What it noted
        (memos) and the waits inside it are dropped unless `keep_memos`. A step that runs is refused
        unless `interrupt`: then what it comes to is dropped. What is replaced stays readable as
        history.

        Raises UnknownWorkflowError, UnknownStepError, InvalidOptionError, InvalidArgsError,
        NotStorableError; NothingToRetryError, StepRunningError, FailedDependencyError,
        DeletedJobError; nothing was changed then. UnavailableError when it is unknown whether it
        was done.
        """
        engine = self._opened("retry")
        given = asked(mode, steps, args, keep_memos=keep_memos, interrupt=interrupt)
        who = told(by, reason)

        async def work() -> Retried:
            done, effects = await retry_workflow(
                engine.database, self._workflow_id, given, who, notify=engine.settings.notify
            )
            self._done(effects)
            return done

        return await to_the_end(work())

    def _done(self, effects: Effects) -> None:
        """Tell of what an action has done; what runs here for steps that it took is interrupted."""
        parts = self._parts
        for action in effects.actions:
            emit_action(parts.engine.database, action)
        emit_settled_waits(self._name, effects.waits)
        parts.hooks.run(effects.cancelled)
        parts.finished(effects.completions)
        parts.runtime.producer.executor.interrupt(set(effects.accepted))
        for queue in effects.released:
            parts.runtime.producer.wake(queue)

    async def send_event(
        self,
        name: str,
        payload: object = None,
        *,
        dedupe_id: str | None = None,
        conn: CallersConnection | None = None,
    ) -> Delivery:
        """Send an event to the workflow; see `baton.send_event`."""
        return await send_event(
            self._workflow_id,
            name,
            payload,
            dedupe_id=dedupe_id,
            conn=conn,
            engine=self._parts.engine,
        )

    async def cancel_wait(self, step: str, reason: str = "cancelled by request") -> bool:
        """End the wait of a step: whether this call did. False: the step does not wait, or no more.

        A wait step is cancelled with the reason, and its dependents with it unless they ignore
        that. A wait inside a step returns WaitCancelled(reason), and the step goes on.
        Raises UnknownWorkflowError, UnknownStepError; UnavailableError when it is unknown whether
        that was done, so that the call may be made again.
        """
        return await cancel_wait(self._workflow_id, step, reason, engine=self._parts.engine)

    async def waiting_steps(
        self,
        *,
        prompted: bool | None = None,
        event: str | None = None,
        correlation_key: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[WaitingStep]:
        """What of the workflow waits for what since when, oldest first; see
        `Insights.waiting_steps`.
        """
        return await self._insights("waiting_steps").waiting_steps(
            self._workflow_id,
            prompted=prompted,
            event=event,
            correlation_key=correlation_key,
            after=after,
            limit=limit,
        )

    async def usage(self) -> WorkflowUsage:
        """What the workflow used of models so far, in all and per model, exact: whole tokens, cost
        as Decimal in USD.

        Every record of every attempt counts: failed attempts, attempts whose outcome was dropped
        and attempts repeated after a crash used their tokens too. Zeros where nothing was recorded.
        Raises UnknownWorkflowError.
        """
        return await workflow_usage(self._opened("usage").database, self._workflow_id)

    async def captures(
        self, *, step: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[Capture]:
        """The debug log of the workflow, or of one of its steps, in the order written, all
        attempts.

        A page has up to `limit` entries (1 to 10,000); `after` is the `next` of the page before.
        Empty for a workflow that captured nothing or is unknown. Raises InvalidOptionError,
        InvalidNameError.
        """
        return await workflow_captures(
            self._opened("captures").database,
            self._workflow_id,
            step=step,
            after=after,
            limit=limit,
        )

    def _insights(self, call: str) -> Insights:
        return Insights(self._opened(call).database)


class QueueHandle:
    """One queue of an engine, on this engine alone: `engine.queue("mail")`.

    All calls raise EngineStateError unless the engine runs.
    """

    def __init__(self, parts: EngineParts, name: str) -> None:
        self._parts = parts
        self._queue = parts.runtime.producer.queues[name]

    @property
    def name(self) -> str:
        return self._queue.name

    def __repr__(self) -> str:
        return f"<QueueHandle {self.name!r} of engine {self._parts.engine.settings.name!r}>"

    def pause(self) -> None:
        """Start no more jobs of the queue on this engine; what runs goes on."""
        self._opened("pause").paused = True

    def resume(self) -> None:
        """Undo `pause`."""
        self._opened("resume").paused = False
        self._parts.runtime.producer.wake(self.name)

    def scale(self, limit: int) -> None:
        """Change how many jobs of the queue this engine runs at once (at least 1). Running jobs go
        on.
        """
        check_queue_limit(limit)
        self._opened("scale").limit = limit
        self._parts.runtime.producer.wake(self.name)

    def _opened(self, call: str) -> Queue:
        opened(call, self._parts.engine)
        return self._queue


@runtime_checkable
class GivesHandles(Protocol):
    """An engine, as a workflow that was inserted asks it for its handle."""

    def workflow(self, workflow_id: UUID | str) -> WorkflowHandle: ...


def handle_of(engine: Instance, workflow_id: UUID) -> WorkflowHandle:
    """The handle of a workflow on an engine. Raises InvalidArgumentError."""
    if not isinstance(engine, GivesHandles):
        raise InvalidArgumentError("engine", engine, "an Engine, or the name of a running one")
    return engine.workflow(workflow_id)
