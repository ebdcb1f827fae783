"""The handle of one workflow, and how an engine gives it."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, overload, runtime_checkable
from uuid import UUID

from baton.core.checks import check_run, seconds
from baton.core.names import validate_step_name
from baton.handles.verbs import WorkflowVerbs
from baton.reading.insights import Insights
from baton.reading.missing_steps import missing_step
from baton.reading.statistics import workflow_captures, workflow_usage
from baton.steps.results import typed
from baton.store.ambient import Instance
from baton.store.borrowed import CallersConnection
from baton.store.database import database_of
from baton.store.results import read_output, read_step_result
from baton.store.store import store_of
from baton.waits.control import cancel_wait
from baton.waits.send import send_event
from baton.words.argument_errors import InvalidArgumentError
from baton.words.insights import StepRow, WorkflowDetail
from baton.words.paging import Page
from baton.words.rows import Capture, Completion, WaitingStep, WorkflowUsage
from baton.words.states import Delivery, JobState, StepState
from baton.words.step_errors import NoResultError
from baton.words.workflow_errors import NoOutputError, UnknownWorkflowError

T = TypeVar("T")


class WorkflowHandle(WorkflowVerbs):
    """One workflow, as an engine reaches it: `engine.workflow(workflow_id)`.

    A handle asks nothing when it is made: an unknown workflow is noticed by the calls. All raise
    EngineStateError unless the engine runs, and UnavailableError when the database cannot be
    reached.
    """

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
        database = store_of(self._opened("result"))
        name = validate_step_name(step)
        found = await read_step_result(database, self._workflow_id, name)
        if found is None:
            raise await missing_step(database, self._workflow_id, name)
        state, text = found
        if text is None:
            raise NoResultError(None, name, state)
        return typed(text, type, step=None, dependency=name)

    @overload
    async def output(self) -> Any: ...

    @overload
    async def output(self, type: type[T]) -> T: ...

    @overload
    async def output(self, type: Any) -> Any: ...

    async def output(self, type: Any = None) -> Any:
        """The result of the workflow's declared output step, as plain JSON values or validated as
        `type`.

        Raises UnknownWorkflowError, NoOutputError (none was declared), NoResultError (that step has
        not completed), ResultTypeError.
        """
        found = await read_output(store_of(self._opened("output")), self._workflow_id)
        if found is None:
            raise UnknownWorkflowError(self._workflow_id)
        if found.step is None:
            raise NoOutputError(self._workflow_id)
        if found.result is None:
            raise NoResultError(None, found.step, found.state)
        return typed(found.result, type, step=None, dependency=found.step)

    async def status(self) -> WorkflowDetail:
        """The workflow, its steps counted by state, and its completion; see
        `Insights.workflow`. Raises UnknownWorkflowError.
        """
        return await self._insights("status").workflow(self._workflow_id)

    async def steps(
        self,
        *,
        state: JobState | StepState | str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[StepRow]:
        """The steps of the workflow, in the order they were added; see `Insights.steps`. Raises
        UnknownWorkflowError, InvalidOptionError.
        """
        return await self._insights("steps").steps(
            self._workflow_id, state=state, after=after, limit=limit
        )

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
        return await workflow_usage(store_of(self._opened("usage")), self._workflow_id)

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
            store_of(self._opened("captures")),
            self._workflow_id,
            step=step,
            after=after,
            limit=limit,
        )

    def _insights(self, call: str) -> Insights:
        return Insights(database_of(store_of(self._opened(call))))


@runtime_checkable
class GivesHandles(Protocol):
    """An engine, as a workflow that was inserted asks it for its handle."""

    def workflow(self, workflow_id: UUID | str) -> WorkflowHandle: ...


def handle_of(engine: Instance, workflow_id: UUID) -> WorkflowHandle:
    """The handle of a workflow on an engine. Raises InvalidArgumentError."""
    if not isinstance(engine, GivesHandles):
        raise InvalidArgumentError("engine", engine, "an Engine, or the name of a running one")
    return engine.workflow(workflow_id)
