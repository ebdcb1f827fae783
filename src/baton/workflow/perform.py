"""Performs one claimed job: gate, worker, arguments, call, outcome."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from baton.core.gate import Verdict
from baton.core.outcome import Ending, outcome
from baton.engine.executor import interrupted
from baton.store.database import Database
from baton.store.results import UnreadError, read_dependencies
from baton.words.config import EngineSettings
from baton.words.errors import InvalidArgsError, StepTimeoutError
from baton.words.rows import ClaimedJob, Node, Outcome
from baton.words.states import JobState
from baton.words.wait_errors import WaitSwallowedError
from baton.words.worker_errors import UnknownWorkerError
from baton.workflow import registry
from baton.workflow.attempt import attempt, failed, returned, suspended
from baton.workflow.gating import decision
from baton.workflow.options import seconds
from baton.workflow.registry import BuiltWorker, WorkerSpec
from baton.workflow.step import Step, SyncStep
from baton.workflow.threads import Threads
from baton.workflow.usage import write_notes

_log = logging.getLogger("baton")


class Performer:
    """Turns a claimed job into its outcome. What the step's code raises never leaves `perform`."""

    def __init__(self, database: Database, settings: EngineSettings) -> None:
        self._database = database
        self._settings = settings
        self._threads = Threads(settings.threads)

    async def perform(self, job: ClaimedJob) -> Outcome:
        """The outcome of one attempt.

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
        try:
            built = spec.build(job.args)
        except InvalidArgsError as error:
            return failed(job, Ending.INVALID_ARGS, error)
        except BaseException as error:
            # Validators are the worker's code.
            return failed(job, Ending.RAISED, error)
        step = (
            Step.of(job, self._database, self._settings)
            if spec.is_async
            else await SyncStep.of(job, self._database, self._settings)
        )
        try:
            return await self._noted(job, spec, built, step)
        except BaseException as error:
            if interrupted():
                raise asyncio.CancelledError from error
            waiting = suspended(job, step, error)
            if waiting is not None:
                return waiting
            # An error may lie about its class, or raise when asked.
            if type(error) is UnreadError:
                raise
            timed_out = issubclass(type(error), StepTimeoutError)
            return failed(job, Ending.TIMED_OUT if timed_out else Ending.RAISED, error, built)

    async def _gate(self, job: ClaimedJob, node: Node) -> Outcome | None:
        """What stops this job from being performed now; None when nothing does.

        Reached only by a row that somebody moved by hand: settlement releases a step with nothing
        pending.
        """
        if node.state is JobState.COMPLETED:
            return outcome(job, Ending.STORED)
        if node.state is not None:
            _log.warning(
                "step %r (job %d) was moved by hand: it has settled as %s, keeps its error and is "
                "not performed again",
                node.name,
                job.id,
                node.state,
            )
            cancelled = node.state is JobState.CANCELLED
            return outcome(job, Ending.CANCELLED_BEFORE if cancelled else Ending.DISCARDED_BEFORE)
        decided = decision(await read_dependencies(self._database, job.id))
        match decided.verdict:
            case Verdict.RUN:
                return None
            case Verdict.HOLD:
                return outcome(job, Ending.HELD)
            case Verdict.CANCEL:
                return outcome(job, Ending.DOOMED, error=decided.reason)

    async def _noted(
        self, job: ClaimedJob, spec: WorkerSpec, built: BuiltWorker, step: Step | SyncStep
    ) -> Outcome:
        try:
            return await self._call(job, spec, built, step)
        finally:
            if isinstance(step, SyncStep):
                await write_notes(self._database, job, step.notes)

    async def _call(
        self, job: ClaimedJob, spec: WorkerSpec, built: BuiltWorker, step: Step | SyncStep
    ) -> Outcome:
        timeout = job.node.timeout if job.node is not None else None
        if timeout is None:
            timeout = built.timeout()
        if timeout is None:
            return await self._attempt(job, spec, built, step)
        # A method of the worker's may return anything, and a NaN would upset the loop's timers.
        timeout = seconds("timeout", timeout)
        try:
            async with asyncio.timeout(timeout) as bound:
                return await self._attempt(job, spec, built, step)
        except TimeoutError as error:
            if bound.expired():
                raise StepTimeoutError(job.node.name if job.node else None, timeout) from error
            raise

    async def _attempt(
        self, job: ClaimedJob, spec: WorkerSpec, built: BuiltWorker, step: Step | SyncStep
    ) -> Outcome:
        limit = self._settings.result_limit
        if isinstance(step, Step):
            value = await built.perform(step)
            if step.replay.suspension is not None:
                raise WaitSwallowedError(step.name)
            return returned(job, value, limit)
        if spec.executor is None:
            outcome, _ = await self._threads.run(partial(attempt, job, built, step, limit))
            return outcome
        outcome, notes = await asyncio.get_running_loop().run_in_executor(
            spec.executor(), attempt, job, built, step, limit
        )
        step.notes.adopt(notes)
        return outcome
