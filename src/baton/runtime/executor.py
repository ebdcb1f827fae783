"""Runs claimed jobs, each in its own task, and interrupts them when the engine must."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container
from contextvars import Context, ContextVar
from time import monotonic
from typing import TypedDict
from uuid import UUID

from baton.runtime.ledger_protocol import Ledger
from baton.runtime.meta import workflow_name_of
from baton.runtime.tasks import begin, is_from_signal
from baton.telemetry import seam
from baton.telemetry.seldom import Seldom
from baton.words.database_errors import UnavailableError
from baton.words.events import StepExecuting
from baton.words.rows import Claim, ClaimedJob, Outcome
from baton.words.states import JobState

_log = logging.getLogger("baton")

FAULT_DELAY = 3.0
"""Seconds a job waits after a fault of the engine itself, which would else repeat without end."""

LOG_INTERVAL = 1.0
"""Seconds between two warnings of jobs that go back: an outage meets all that run at once."""


_current: ContextVar[Execution | None] = ContextVar("baton_execution", default=None)


class NotBegunError(Exception):
    """The step's code was not called: the job goes back untouched, for later."""


class Execution:
    """One claimed job while it runs. `interrupted` tells whether the engine cancelled its task;
    `program_ends` whether somebody is cancelling all tasks of the loop.
    """

    __slots__ = (
        "abandoned",
        "begun",
        "duration",
        "engine",
        "facts",
        "interrupted",
        "job",
        "outcome",
        "program_ends",
        "started",
        "task",
    )

    def __init__(
        self, engine: str, job: ClaimedJob, program_ends: Callable[[], bool] = lambda: False
    ) -> None:
        self.engine = engine
        self.job = job
        self.program_ends = program_ends
        self.started = monotonic()
        self.begun = False
        self.interrupted = False
        self.abandoned = False
        self.outcome: Outcome | None = None
        self.task: asyncio.Task[None] | None = None
        self.duration = 0.0
        self.facts: JobFacts | None = None

    def step_facts(self) -> JobFacts:
        """What step events tell of the job, read once."""
        if self.facts is None:
            self.facts = job_facts(self.engine, self.job)
        return self.facts

    def end(self, outcome: Outcome) -> None:
        """Note the outcome and how long the attempt took, in seconds."""
        self.outcome = outcome
        self.duration = monotonic() - self.started


def interrupted() -> bool:
    """Whether the engine cancelled the task that performs the current job, or all tasks are being
    cancelled because the program ends.

    A job's own code may cancel its task too; that is a failure of the job, not an interruption.
    """
    execution = _current.get()
    if execution is not None:
        return execution.interrupted or execution.program_ends()
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def attempt_begins() -> None:
    """The current job's code is about to be called: what it waited for until now is not part of how
    long its attempt takes.
    """
    execution = _current.get()
    if execution is not None:
        execution.started = monotonic()


class Executor:
    """The running executions of one engine. Calls `finished(execution)` once for each, with its
    outcome set.
    """

    def __init__(self, engine: str, ledger: Ledger, finished: Callable[[Execution], None]) -> None:
        self.program_ends: Callable[[], bool] = lambda: False
        """Whether all tasks of the loop are being cancelled, as `asyncio.run` does at its end."""
        self._engine = engine
        self._ledger = ledger
        self._finished = finished
        self._running: dict[Claim, Execution] = {}
        self._stragglers: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._warnings = Seldom(LOG_INTERVAL)

    def __len__(self) -> int:
        return len(self._running)

    @property
    def claims(self) -> list[Claim]:
        return list(self._running)

    def start(self, job: ClaimedJob, context: Context) -> None:
        """Run a job, in a copy of a context: what one job sets there, no other sees."""
        execution = Execution(self._engine, job, self.program_ends)
        self._running[job.id, job.attempted_at] = execution
        self._idle.clear()
        if seam.active:
            facts = execution.step_facts()
            seam.emit(StepExecuting(**facts, state=JobState.EXECUTING, queue_time=job.queue_time))
        execution.task = begin(self._run(execution), context.copy())

    async def _run(self, execution: Execution) -> None:
        job = execution.job
        execution.begun = True
        _current.set(execution)
        span = seam.begin_attempt(self._engine, job) if seam.tracer is not None else None
        ended_by: BaseException | None = None
        try:
            outcome = release(job) if execution.interrupted else await self._ledger.perform(job)
        except BaseException as error:
            # The ledger turns what the step's code raised into an outcome; what arrives here is our
            # own interruption, or a fault of ours that must not lose the job.
            if is_from_signal(error):
                ended_by = error
            if interrupted() or ended_by is not None:
                outcome = release(job)
            else:
                if isinstance(error, UnavailableError | NotBegunError):
                    _log.log(self._level(), "job %s goes back for later: %s", job.id, error)
                else:
                    _log.error("performing job %s failed inside the engine", job.id, exc_info=error)
                outcome = postpone(job)
        if span is not None:
            outcome = seam.end_attempt(span, outcome)
        if execution.abandoned:
            return
        execution.end(outcome)
        self._leave(execution)
        self._finished(execution)
        if ended_by is not None:
            # Somebody wants the program to end at once, and this job was merely in the way.
            raise ended_by

    def _level(self) -> int:
        return logging.WARNING if self._warnings.take() else logging.DEBUG

    def interrupt_claims(self, claims: Container[Claim]) -> int:
        """Cancel the tasks of these claims; returns how many."""
        return self._interrupt([e for claim, e in self._running.items() if claim in claims])

    def interrupt_all(self) -> int:
        """Cancel all tasks; returns how many."""
        return self._interrupt(list(self._running.values()))

    def _interrupt(self, chosen: list[Execution]) -> int:
        for execution in chosen:
            execution.interrupted = True
            # A task cancelled before its first turn never enters its coroutine: nothing would
            # settle the job, and its slot would be taken for ever. It sees the mark when it begins.
            if execution.task is not None and execution.begun:
                execution.task.cancel()
        return len(chosen)

    def abandon(self) -> list[Execution]:
        """Give up on what still runs: its jobs get the outcome `release`, whatever their tasks do
        later.
        """
        abandoned = list(self._running.values())
        for execution in abandoned:
            execution.abandoned = True
            execution.end(release(execution.job))
            self._leave(execution)
            if execution.task is not None:
                self._stragglers.add(execution.task)
                execution.task.add_done_callback(self._stragglers.discard)
        return abandoned

    async def drained(self, timeout: float) -> bool:
        """Wait until nothing runs, at most `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _leave(self, execution: Execution) -> None:
        del self._running[execution.job.id, execution.job.attempted_at]
        if not self._running:
            self._idle.set()


def release(job: ClaimedJob) -> Outcome:
    """The outcome of a job that goes back untouched: runnable again, its attempt given back."""
    return Outcome(job.id, job.attempted_at, job.attempt, JobState.AVAILABLE, attempt_change=-1)


def postpone(job: ClaimedJob) -> Outcome:
    """The outcome of a job that the engine failed to perform: it goes back untouched, for later."""
    return release(job)._replace(state=JobState.SCHEDULED, delay=FAULT_DELAY)


class JobFacts(TypedDict):
    """The fields that all step events share."""

    engine: str | None
    job_id: int
    worker: str
    queue: str
    attempt: int
    workflow_id: UUID | None
    workflow_name: str | None
    step: str | None


def job_facts(engine: str | None, job: ClaimedJob) -> JobFacts:
    """What step events tell of a job that this engine performs."""
    node = job.node
    return {
        "engine": engine,
        "job_id": job.id,
        "worker": job.worker,
        "queue": job.queue,
        "attempt": job.attempt,
        "workflow_id": node.workflow_id if node else None,
        "workflow_name": workflow_name_of(job.meta) if node else None,
        "step": node.name if node else None,
    }
