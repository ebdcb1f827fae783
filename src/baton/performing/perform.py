"""Performs one claimed job: gate, worker, arguments, call, outcome."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from baton.core.checks import seconds
from baton.core.errortext import describe
from baton.core.gate import Verdict
from baton.core.outcome import Ending, outcome
from baton.core.references import may_refer
from baton.performing.attempt import attempt, failed, returned, suspended
from baton.performing.calls import Calls
from baton.performing.gating import decision
from baton.performing.references import resolved
from baton.runtime.executor import NotBegunError, attempt_begins, interrupted
from baton.steps.step import Step, SyncStep, notes_of, step_of, suspension_of, sync_step_of
from baton.steps.transactions import transaction_of
from baton.steps.usage import Notes, write_notes
from baton.store.results import UnreadError, read_dependencies, read_paused
from baton.store.step_transactions import StepTransaction, StepTransactions, UncommittedError
from baton.store.store import Store
from baton.words.argument_errors import InvalidArgsError
from baton.words.config import EngineSettings
from baton.words.graph_errors import GraphError
from baton.words.reference_errors import UnresolvedReferenceError
from baton.words.rows import ClaimedJob, Node, Outcome
from baton.words.states import JobState, StepState
from baton.words.step_errors import (
    StepTimeoutError,
    StepTransactionError,
    UndeclaredDependencyError,
)
from baton.words.wait_errors import WaitSwallowedError
from baton.words.worker_errors import UnknownWorkerError
from baton.workers import registry
from baton.workers.registry import BuiltWorker, WorkerSpec

_log = logging.getLogger("baton")

_BEFORE = {
    StepState.COMPLETED: Ending.STORED,
    StepState.CANCELLED: Ending.CANCELLED_BEFORE,
    StepState.DISCARDED: Ending.DISCARDED_BEFORE,
    StepState.SKIPPED: Ending.SKIPPED_BEFORE,
}


class Committing(Protocol):
    async def __call__(self, outcome: Outcome, transaction: StepTransaction) -> None:
        """Settle a completed step in its own transaction and commit, or roll back where the claim
        was lost: that is told with the outcome. Raises UncommittedError, and what the database
        refuses; then nothing was written.
        """
        ...


class Performer:
    """Turns a claimed job into its outcome. What the step's code raises never leaves `perform`."""

    def __init__(self, database: Store, settings: EngineSettings) -> None:
        self._database = database
        self._settings = settings
        self._calls = Calls(settings.threads)
        self._transactions = StepTransactions(
            database,
            settings.transactions,
            command_timeout=settings.command_timeout,
            acquire_timeout=settings.acquire_timeout,
        )

    async def perform(self, job: ClaimedJob, committing: Committing | None = None) -> Outcome:
        """The outcome of one attempt. Where the step has a transaction of its own, the outcome is
        written by `committing` before this returns; without, steps may have none.

        Raises CancelledError when the engine cancelled this task, and what the database raises when
        the gate or the step's results could not be read: neither says anything about the step.
        """
        if job.node is not None and (job.node.state is not None or job.node.pending):
            stopped = await self._gate(job, job.node)
            if stopped is not None:
                return stopped
        spec = registry.find(job.worker)
        if spec is None:
            unknown = UnknownWorkerError(job.worker, registry.names())
            return failed(job, Ending.UNKNOWN_WORKER, unknown)
        built = await self._built(job, spec)
        if isinstance(built, Outcome):
            return built
        step = (
            step_of(job, self._database, self._settings, self._transactions if committing else None)
            if spec.is_async
            else await sync_step_of(job, self._database, self._settings)
        )
        try:
            ended = await self._noted(job, spec, built, step)
            own = transaction_of(step) if isinstance(step, Step) else None
            if own is None or committing is None:
                return ended
            return await _ended(job, ended, own, committing)
        except BaseException as error:
            if isinstance(step, Step) and (own := transaction_of(step)) is not None:
                await own.roll_back()
            if interrupted():
                raise asyncio.CancelledError from error
            waiting = suspended(job, step, error)
            if waiting is not None:
                return waiting
            # An error may lie about its class, or raise when asked.
            if type(error) in (UnreadError, NotBegunError, UncommittedError):
                raise
            timed_out = issubclass(type(error), StepTimeoutError)
            return failed(job, Ending.TIMED_OUT if timed_out else Ending.RAISED, error, built)

    def close(self) -> None:
        """End the threads that are free, and the connections of steps."""
        self._calls.close()
        self._transactions.close()

    async def _gate(self, job: ClaimedJob, node: Node) -> Outcome | None:
        """What stops this job from being performed now; None when nothing does.

        Settlement releases a step with nothing pending, so this is reached only by a row that
        somebody moved by hand, and by one that ran when its workflow was paused and was given back.
        """
        if node.state is StepState.COMPLETED:
            return outcome(job, _BEFORE[node.state])
        if node.state is not None:
            _log.warning(
                "step %r (job %d) was moved by hand: it has settled as %s, keeps its error and is "
                "not performed again",
                node.name,
                job.id,
                node.state,
            )
            return outcome(job, _BEFORE[node.state])
        decided = decision(await read_dependencies(self._database, job.id))
        match decided.verdict:
            case Verdict.RUN if await read_paused(self._database, job.id):
                return outcome(job, Ending.HELD)
            case Verdict.RUN:
                return None
            case Verdict.HOLD:
                return outcome(job, Ending.HELD)
            case Verdict.CANCEL:
                return outcome(job, Ending.DOOMED, error=decided.reason)
            case Verdict.SKIP:
                return outcome(job, Ending.NOT_NEEDED, error=decided.reason)

    async def _built(self, job: ClaimedJob, spec: WorkerSpec) -> BuiltWorker | Outcome:
        """The worker with the job's arguments; the outcome where there is none."""
        args, lacking = job.args, None
        try:
            if job.node is not None and may_refer(args):
                args, lacking = await resolved(self._database, job)
        except (UnresolvedReferenceError, UndeclaredDependencyError) as error:
            return failed(job, Ending.UNRESOLVED, error)
        except InvalidArgsError as error:
            return failed(job, Ending.INVALID_ARGS, error)
        try:
            return spec.build(args)
        except InvalidArgsError as error:
            if lacking is not None:
                return failed(job, Ending.UNRESOLVED, lacking)
            return failed(job, Ending.INVALID_ARGS, error)
        except BaseException as error:
            # Validators are the worker's code.
            return failed(job, Ending.RAISED, error)

    async def _noted(
        self, job: ClaimedJob, spec: WorkerSpec, built: BuiltWorker, step: Step | SyncStep
    ) -> Outcome:
        try:
            return await self._call(job, spec, built, step)
        finally:
            if isinstance(step, SyncStep):
                await write_notes(self._database, job, notes_of(step))

    async def _call(
        self, job: ClaimedJob, spec: WorkerSpec, built: BuiltWorker, step: Step | SyncStep
    ) -> Outcome:
        timeout = job.node.timeout if job.node is not None else None
        if timeout is None:
            timeout = built.timeout()
        if timeout is not None:
            # A method of the worker's may return anything, and a NaN would upset the loop's timers.
            timeout = seconds("timeout", timeout)
        attempted = (
            self._awaited(job, built, step)
            if isinstance(step, Step)
            else _finished(await self._begun(job, spec, built, step), step)
        )
        if timeout is None:
            return await attempted
        try:
            async with asyncio.timeout(timeout) as bound:
                return await attempted
        except TimeoutError as error:
            if bound.expired():  # pyright: ignore[reportUnboundVariable, reportAttributeAccessIssue]
                raise StepTimeoutError(job.node.name if job.node else None, timeout) from error
            raise

    async def _awaited(self, job: ClaimedJob, built: BuiltWorker, step: Step) -> Outcome:
        value = await built.perform(step)
        if suspension_of(step) is not None:
            raise WaitSwallowedError(step.name)
        return returned(job, value, step, self._settings.result_limit)

    async def _begun(
        self, job: ClaimedJob, spec: WorkerSpec, built: BuiltWorker, step: SyncStep
    ) -> asyncio.Future[tuple[Outcome, Notes]]:
        """A call of a plain `perform` that has begun: from now on its time-out counts."""
        executor = None if spec.executor is None else spec.executor()
        limit = self._settings.result_limit
        begun = await self._calls.begin(executor, attempt, job, built, step, limit)
        attempt_begins()
        return begun


async def _ended(
    job: ClaimedJob, ended: Outcome, own: StepTransaction, committing: Committing
) -> Outcome:
    """The outcome of a step with a transaction of its own; one that completed is committed."""
    if own.gone:
        # Its block raised, and the step went on without it.
        return ended
    if not own.left:
        name = None if job.node is None else job.node.name
        raise StepTransactionError(name, "is still open: its block has to be left before the end")
    if ended.state is JobState.COMPLETED:
        try:
            await committing(ended, own)
        except GraphError as error:
            await own.roll_back()
            return outcome(job, Ending.NOT_GROWN, error=describe(error))
    else:
        await own.roll_back()
    return ended


async def _finished(begun: asyncio.Future[tuple[Outcome, Notes]], step: SyncStep) -> Outcome:
    outcome, notes = await begun
    # Another process has written into a copy.
    notes_of(step).adopt(notes)
    return outcome
