"""Waits for the ends of workflows: any number of waiters, one listener, one query for
all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from uuid import UUID

from baton.runtime.tasks import END_TIMEOUT, cancel_all
from baton.steps.wait_options import WAIT_STEP_QUEUE
from baton.store.completions import parse_completion, read_completions, read_unsettled_steps
from baton.store.database import Database
from baton.words.engine_errors import EngineStateError
from baton.words.rows import Announced, Completion, UnsettledStep
from baton.words.states import JobState
from baton.words.workflow_errors import CompletionTimeoutError, UnknownWorkflowError

_log = logging.getLogger("baton")

FIRST_LOOK = 1.0
WHY_SECONDS = 1.0
STEPS_NAMED = 5


class CompletionWaiters:
    """Who waits for which workflow. Notifications and polling both only make it look at
    the table.
    """

    def __init__(self, database: Database, queues: Sequence[str]) -> None:
        self._database = database
        self._queues = queues
        self._waiters: dict[UUID, set[asyncio.Future[Completion]]] = {}
        self._due: set[UUID] = set()
        self._unchecked: set[UUID] = set()
        self._looking: asyncio.Task[None] | None = None
        self._failing = False
        self.closing = False
        """Whether the engine stops: who asks now would wait for no answer."""

    async def wait(self, workflow_id: UUID, timeout: float | None) -> Completion:
        """The completion of a workflow, at once when it has finished already.

        Raises UnknownWorkflowError, also when it is pruned before this looks again, or
        CompletionTimeoutError after `timeout` seconds (None: no
        bound); the first look may take FIRST_LOOK seconds of their own, and finding out what the
        workflow waits for WHY_SECONDS.
        """
        if self.closing:
            raise _refusal("stopping")
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(workflow_id, set()).add(future)
        self._unchecked.add(workflow_id)
        self._look_at([workflow_id])
        try:
            await asyncio.wait([future], timeout=timeout)
            if workflow_id in self._unchecked and timeout is not None and self._looking is not None:
                # A timeout of 0 is a question too.
                await asyncio.wait([self._looking], timeout=FIRST_LOOK - timeout)
            if not future.done() and timeout is not None:
                error = await self._late(workflow_id, timeout)
                if not future.done():
                    raise error
            return await future
        finally:
            self._forget(workflow_id, future)

    async def _late(self, workflow_id: UUID, timeout: float) -> CompletionTimeoutError:
        try:
            async with asyncio.timeout(WHY_SECONDS):
                unsettled, steps = await read_unsettled_steps(
                    self._database, workflow_id, self._queues, STEPS_NAMED
                )
        except Exception:
            # Why it took so long is worth a look, not another failure.
            return CompletionTimeoutError(workflow_id, timeout)
        return CompletionTimeoutError(
            workflow_id,
            timeout,
            _why(unsettled, steps, self._queues),
            unsettled=unsettled,
            steps=tuple(steps),
            queues=tuple(self._queues),
        )

    def settled(self, completions: Sequence[Announced]) -> None:
        """This process has recorded these completions (JSON text): its waiters need no look."""
        for workflow_id, text in completions:
            if workflow_id in self._waiters:
                self._resolve(parse_completion(text))

    def notified(self, payload: str | None) -> None:
        """Some workflows have finished: their ids, or None when notifications may have
        been missed.
        """
        if payload is None:
            self._look_at(self._waiters)
        elif self._waiters:
            self._look_at(i for i in map(UUID, payload.split(",")) if i in self._waiters)

    async def poll(self) -> None:
        """The fallback: look without being told."""
        self._look_at(self._waiters)

    async def stop(self, timeout: float = END_TIMEOUT) -> None:
        """End the looking, which is waited for at most `timeout` seconds; who still waits gets an
        EngineStateError.
        """
        self.closing = True
        if self._looking is not None:
            await cancel_all([self._looking], timeout)
        for waiters in list(self._waiters.values()):
            for future in waiters:
                if not future.done():
                    future.set_exception(_refusal("stopped"))

    def _look_at(self, workflow_ids: Iterable[UUID]) -> None:
        self._due.update(workflow_ids)
        if self._due and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            # One turn of the loop later, so that all who begin to wait in this turn share one
            # query.
            await asyncio.sleep(0)
            while self._due:
                due, self._due = self._due, set()
                await self._look_once([i for i in due if i in self._waiters])
            self._failing = False
        except Exception as error:
            if not self._failing:
                _log.warning("looking for completions failed, polling goes on: %r", error)
            self._failing = True
        finally:
            self._looking = None

    async def _look_once(self, due: list[UUID]) -> None:
        found = await read_completions(self._database, due)
        for workflow_id, completion in found.items():
            if completion is None:
                self._give_up(workflow_id)
            else:
                self._resolve(completion)
        self._unchecked.difference_update(due)

    def _give_up(self, workflow_id: UUID) -> None:
        """It was never there; or it was, and has ended and been pruned since the last look."""
        pruned = workflow_id not in self._unchecked
        for future in self._waiters.pop(workflow_id, ()):
            if not future.done():
                future.set_exception(UnknownWorkflowError(workflow_id, pruned=pruned))

    def _resolve(self, completion: Completion) -> None:
        for future in self._waiters.pop(completion.workflow_id, ()):
            if not future.done():
                future.set_result(completion)

    def _forget(self, workflow_id: UUID, future: asyncio.Future[Completion]) -> None:
        waiters = self._waiters.get(workflow_id)
        if waiters is not None:
            waiters.discard(future)
            if not waiters:
                del self._waiters[workflow_id]
                self._unchecked.discard(workflow_id)


def _refusal(state: str) -> EngineStateError:
    return EngineStateError(state, "running", "completion")


def _why(unsettled: int, steps: Sequence[UnsettledStep], queues: Sequence[str]) -> str:
    if not steps:
        return ""
    told: list[str] = []
    for step in steps:
        place = "has lost its job"
        if step.state is not None:
            place = f"is {step.state} in queue {step.queue!r}"
        if step.state is JobState.SUSPENDED and step.queue == WAIT_STEP_QUEUE:
            place = (
                "is a wait step, suspended (waiting_steps and `baton why` tell what it waits for)"
            )
        if step.state is JobState.AVAILABLE and step.queue not in queues:
            place += (
                f", which this engine does not serve (its queues: {', '.join(queues) or 'none'})"
            )
            if not step.served:
                place += " and no other live engine does"
        elif step.state is JobState.AVAILABLE and not step.served:
            place += ", which no live engine serves now (paused, or it does not beat)"
        told.append(f"step {step.name!r} {place}")
    counted = "1 step has" if unsettled == 1 else f"{unsettled} steps have"
    more = "; …" if unsettled > len(steps) else ""
    return f"; {counted} not settled: {'; '.join(told)}{more}"
