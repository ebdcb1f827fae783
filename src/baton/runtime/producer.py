"""Claims, runs and settles: the loop that keeps the queues of one engine busy.

Idea: claiming and settling are one round trip. Outcomes collect in the outbox. A settlement takes
all of it, writes it in one commit, and brings the next jobs back, handed over or claimed. While one
settlement is under way the next batch grows by itself, so batches are as large as the load is high;
a second settlement may run beside it, so that performing overlaps settling.

Invariant: every claimed job is in exactly one place until its outcome is written: it runs (the
executor), it waits to be settled (the outbox), a settlement has it (`_settling`), or a setback
keeps it (refused, or behind somebody's lock). `known_ids` is their union, and the rescue of this
engine leaves these jobs alone. Room of a queue is its limit without what runs and what is reserved
for settlements under way, so no queue runs more than its limit.

Failures that it survives: a settlement whose connection is lost is put back and repeated later and
later, and what it had written is recognised (see the ledger). A batch that the database refuses is
tried apart, by halves, while others go on (see `Setbacks`); a claim that it refuses quarantines its
queue until the refused job is found (see `Claims`). At a stop what runs gets its grace, what has
ended is flushed, and what is left is rescued by another engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Container, Sequence
from contextvars import copy_context
from time import monotonic

from baton.runtime.executor import Execution, Executor, release
from baton.runtime.ledger_protocol import Ledger, Reply
from baton.runtime.outbox import Batch, Outbox
from baton.runtime.queues import Queues, Reservation, demands
from baton.runtime.refused_claims import Claims
from baton.runtime.setbacks import Setbacks
from baton.runtime.settled_events import settled_event
from baton.runtime.tasks import END_TIMEOUT, begin, cancel_all
from baton.store.faults import holds_up_all
from baton.telemetry import seam
from baton.words.config import EngineSettings
from baton.words.events import ConnectionLost, ConnectionRegained
from baton.words.rows import Claim, ClaimedJob, Outcome
from baton.words.states import JobState

_log = logging.getLogger("baton")

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0

_MOST_LOGGED = 8_000


class Producer:
    """Keeps the queues of one engine busy. All methods run in the engine's loop."""

    def __init__(self, settings: EngineSettings, ledger: Ledger) -> None:
        self.queues = Queues(settings.queues, settings.settlers)
        self.executor = Executor(settings.name, ledger, self._collect)
        self._claims = Claims(self.queues, ledger, self.plan)
        self._ledger = ledger
        self._settings = settings
        self._outbox = Outbox(settings.settle_limit)
        self._settling: dict[asyncio.Task[None], Batch] = {}
        self._pump_planned = False
        self._setbacks = Setbacks(self._outbox, self.queues, self.plan)
        self._trying = False
        self._suspects_next = False
        self._delay = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._stopping = False
        self._closed = False
        self._changed = asyncio.Event()
        self._context = copy_context()

    def open(self) -> None:
        """Begin to work in the caller's context: whoever wakes this producer later, a request or
        another job, does not lend its own to the jobs.
        """
        self._context = copy_context()
        self.wake()

    @property
    def known_ids(self) -> list[int]:
        """Jobs this engine answers for: running, waiting to be settled, or being settled."""
        return [*(job_id for job_id, _ in self.claims), *self._unsettled]

    @property
    def claims(self) -> list[Claim]:
        """The claims of the jobs that run."""
        return self.executor.claims

    def interrupt_claims(self, claims: Container[Claim]) -> int:
        """Cancel the tasks of these claims; returns how many."""
        return self.executor.interrupt_claims(claims)

    def wake(self, queue: str | None = None) -> None:
        """Look for available jobs soon, in one queue or in all."""
        self.queues.wake(queue)
        self.plan()

    def plan(self) -> None:
        """Pump in the next turn of the loop, so that all that finishes in this turn settles
        together.
        """
        if not self._pump_planned:
            self._pump_planned = True
            asyncio.get_running_loop().call_soon(self._pump, context=self._context)

    def _collect(self, execution: Execution) -> None:
        self.queues[execution.job.queue].running -= 1
        self._outbox.add(execution)
        self.plan()

    def _pump(self) -> None:
        self._pump_planned = False
        self._changed.set()
        while (
            not self._closed
            and self._retry is None
            and len(self._settling) < self._settings.settlers
        ):
            batch = self._next_batch()
            if batch is None:
                return
            reservations = [] if self._stopping or batch.suspect else self.queues.reserve()
            task = begin(self._settle(batch, reservations))
            self._settling[task] = batch
            task.add_done_callback(self._no_longer_settling)

    def _next_batch(self) -> Batch | None:
        """What to settle next, an empty batch to claim only, None when there is nothing to do.

        Suspects are tried one part at a time, in turn with all others, which go on meanwhile.
        """
        fresh = self._outbox.waiting or (not self._stopping and self.queues.unfetched)
        if self._outbox.suspects and not self._trying and (self._suspects_next or not fresh):
            self._suspects_next, self._trying = False, True
            return self._outbox.take_suspect()
        self._suspects_next = True
        return self._outbox.take() if fresh else None

    async def _settle(self, batch: Batch, reservations: list[Reservation]) -> None:
        outcomes = sorted(e.outcome for e in batch.executions if e.outcome is not None)
        began = monotonic()
        try:
            reply = await self._write(outcomes, reservations, self._setbacks.lock_timeout(batch))
        except BaseException as error:
            # It may have claimed what another settlement then did not find.
            for reservation in reservations:
                reservation.queue.wake()
            if isinstance(error, Exception) and not holds_up_all(error):
                self._refuse(batch, reservations, error, monotonic() - began)
            else:
                self._outbox.put_back(batch)
                self._back_off(error)
            if not isinstance(error, Exception):
                raise
        else:
            self._works(batch, reply, monotonic() - began)
            self._claims.worked(reservations)
            try:
                written = self._setbacks.written(batch, reply)
                self._log_failures(written, reply)
                if seam.active:
                    self._emit(written, reply)
                reply.emit()
            finally:
                self._accept(reply, reservations)
        finally:
            self._trying = self._trying and not batch.suspect
            self.queues.release(reservations)
            self._pump_after_this()

    def _refuse(
        self, batch: Batch, reservations: Sequence[Reservation], error: Exception, seconds: float
    ) -> None:
        """The database will refuse this at every try: what is to blame is set apart."""
        if reservations:
            self._claims.refused(reservations, error, alone=not batch.executions)
        if batch.executions:
            self._setbacks.refuse(batch, error, seconds)

    async def _write(
        self,
        outcomes: Sequence[Outcome],
        reservations: list[Reservation],
        lock_timeout: float | None,
    ) -> Reply:
        wanted = demands(reservations, self._claims.left_out)
        if seam.tracer is None or not outcomes:
            return await self._ledger.settle(outcomes, wanted, lock_timeout)
        with seam.spanned(lambda tracer: tracer.settle(self._settings.name, outcomes)):
            return await self._ledger.settle(outcomes, wanted, lock_timeout)

    def _pump_after_this(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._no_longer_settling(task)
        self.plan()

    def _no_longer_settling(self, task: asyncio.Task[None]) -> None:
        self._settling.pop(task, None)

    def _accept(self, reply: Reply, reservations: list[Reservation]) -> None:
        self.queues.fetched(reservations, Counter(job.queue for job in reply.jobs))
        for name in reply.released:
            self.queues.wake(name)
        for job in reply.jobs:
            queue = self.queues[job.queue]
            if self._stopping or queue.paused or queue.running >= queue.limit:
                self._return(job)
            else:
                queue.running += 1
                self.executor.start(job, self._context)

    def _return(self, job: ClaimedJob) -> None:
        execution = Execution(self._settings.name, job)
        execution.end(release(job))
        self._outbox.add(execution)

    def _log_failures(self, batch: Sequence[Execution], reply: Reply) -> None:
        for execution in batch:
            outcome, job = execution.outcome, execution.job
            if outcome is not None and outcome.error is not None and not outcome.skipped:
                if reply.cancelled and (job.id, job.attempted_at) in reply.cancelled:
                    continue
                _log.warning(
                    "step %r of worker %r is %s after attempt %d of %d (job %d): %s",
                    job.node.name if job.node else None,
                    job.worker,
                    outcome.state,
                    job.attempt,
                    job.max_attempts,
                    job.id,
                    _shown(outcome),
                    extra={"facts": {**execution.step_facts(), "error": outcome.error}},
                )

    def _emit(self, batch: Sequence[Execution], reply: Reply) -> None:
        for execution in batch:
            seam.emit(settled_event(execution, reply))

    def _back_off(self, error: BaseException) -> None:
        if self._closed:
            return
        if self._delay == 0.0:
            _log.warning("settling failed, trying again: %r", error)
            if seam.active:
                seam.emit(ConnectionLost(self._settings.name, "settle", repr(error)))
        self._delay = min(max(self._delay * 2, FIRST_DELAY), LONGEST_DELAY)
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(self._delay, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._pump()

    def _works(self, batch: Batch, reply: Reply, seconds: float) -> None:
        """Note what a settlement that went through says of the database."""
        if self._outbox.size.reduced and batch.executions:
            self._outbox.size.went_through(len(batch.executions), seconds)
        # A poll that finds nothing writes nothing: it says little of a database that cannot write.
        unsettled = self._outbox or any(one.executions for one in self._settling.values())
        if self._delay and (batch.executions or reply.jobs or not unsettled):
            self._delay = 0.0
            _log.info("settling works again")
            if seam.active:
                seam.emit(ConnectionRegained(self._settings.name, "settle"))

    async def drain(self, grace: float) -> None:
        """Stop claiming and let what runs finish, at most `grace` seconds; claimed jobs not started
        go back.
        """
        self._stopping = True
        self.queues.pause_all()
        await self.executor.drained(grace)

    async def flush(self, timeout: float) -> int:
        """Settle what is left in the buffer, at most `timeout` seconds; returns how many could not
        be.
        """
        self._setbacks.try_last()
        try:
            async with asyncio.timeout(timeout):
                while self._outbox or self._settling or self._setbacks.hopeful:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            late = self._unsettled.difference(self._setbacks.refused_ids)
            reason = "locks of others" if self._setbacks.locked else "the database does not answer"
            _log.error("%s; %d outcomes could not be settled in time", reason, len(late))
        return len(self._unsettled)

    @property
    def _unsettled(self) -> set[int]:
        """The jobs that have ended and whose outcomes are not written."""
        settling = (e.job.id for one in self._settling.values() for e in one.executions)
        return {*self._outbox.ids, *settling, *self._setbacks.ids}

    async def close(self, timeout: float = END_TIMEOUT) -> None:
        """Settle nothing more; what has not been settled is left to a rescue."""
        self._closed = True
        self._setbacks.close()
        if self._retry is not None:
            self._retry.cancel()
        await cancel_all([*self._settling, *self._claims.close()], timeout)

    def abandon(self) -> int:
        """Release what still runs; returns how many jobs."""
        abandoned = self.executor.abandon()
        for execution in abandoned:
            self._collect(execution)
        return len(abandoned)


def _shown(outcome: Outcome) -> str:
    """The error of a failed attempt for the log: its first line, and of the last one the
    traceback too.
    """
    error = (outcome.error or "").strip()
    if outcome.state is JobState.DISCARDED:
        return error[:_MOST_LOGGED]
    return error.split("\n", 1)[0][:500]
