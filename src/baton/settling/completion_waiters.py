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
from baton.store.completions import (
    Unsettled,
    parse_completion,
    read_completions,
    read_unsettled_steps,
)
from baton.store.store import Store
from baton.words.engine_errors import EngineStateError
from baton.words.rows import Announced, Completion
from baton.words.states import JobState
from baton.words.workflow_errors import (
    CompletionTimeoutError,
    UnknownRunError,
    UnknownWorkflowError,
)

_log = logging.getLogger("baton")

FIRST_LOOK = 1.0
WHY_SECONDS = 1.0
STEPS_NAMED = 5


class _Waiter:
    """One call that waits. `run` is 0 until the first look has told the current one."""

    def __init__(self, run: int) -> None:
        self.run = run
        self.future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()

    def end(self, given: Completion | BaseException) -> None:
        if self.future.done():
            return
        if isinstance(given, Completion):
            self.future.set_result(given)
        else:
            self.future.set_exception(given)


class CompletionWaiters:
    """Who waits for which workflow. Notifications and polling both only make it look at
    the table.
    """

    def __init__(self, database: Store, queues: Sequence[str]) -> None:
        self._database = database
        self._queues = queues
        self._waiters: dict[UUID, set[_Waiter]] = {}
        self._due: set[UUID] = set()
        self._unchecked: set[UUID] = set()
        self._looking: asyncio.Task[None] | None = None
        self._failing = False
        self.closing = False
        """Whether the engine stops: who asks now would wait for no answer."""

    async def wait(
        self, workflow_id: UUID, timeout: float | None, run: int | None = None
    ) -> Completion:
        """The completion of a run of a workflow, None for the run that is current now; at once when
        it has finished already.

        Raises UnknownWorkflowError, also when it is pruned before this looks again,
        UnknownRunError, or CompletionTimeoutError after `timeout` seconds (None: no
        bound); the first look may take FIRST_LOOK seconds of their own, and finding out what the
        workflow waits for WHY_SECONDS.
        """
        if self.closing:
            raise _refusal("stopping")
        waiter = _Waiter(run or 0)
        future = waiter.future
        self._waiters.setdefault(workflow_id, set()).add(waiter)
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
            self._forget(workflow_id, waiter)

    async def _late(self, workflow_id: UUID, timeout: float) -> CompletionTimeoutError:
        try:
            async with asyncio.timeout(WHY_SECONDS):
                found = await read_unsettled_steps(
                    self._database, workflow_id, self._queues, STEPS_NAMED
                )
        except Exception:
            # Why it took so long is worth a look, not another failure.
            return CompletionTimeoutError(workflow_id, timeout)
        return CompletionTimeoutError(
            workflow_id,
            timeout,
            _why(found, self._queues),
            unsettled=found.outstanding,
            steps=tuple(found.steps),
            queues=tuple(self._queues),
            paused_at=found.paused_at,
        )

    def settled(self, completions: Sequence[Announced]) -> None:
        """This process has recorded these completions (JSON text): its waiters need no look."""
        for workflow_id, text in completions:
            if workflow_id in self._waiters:
                completion = parse_completion(text)
                self._end(workflow_id, (0, completion.run), completion)

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
            for waiter in waiters:
                waiter.end(_refusal("stopped"))

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
        asked = list({(i, waiter.run): None for i in due for waiter in self._waiters[i]})
        for found in await read_completions(self._database, asked):
            if found.completion is not None:
                self._end(found.workflow_id, (found.asked,), found.completion)
            elif found.current is None:
                self._give_up(found.workflow_id)
            elif found.asked == 0:
                for waiter in self._waiters.get(found.workflow_id, ()):
                    waiter.run = waiter.run or found.current
            else:
                unknown = UnknownRunError(found.workflow_id, found.asked, found.current)
                self._end(found.workflow_id, (found.asked,), unknown)
        self._unchecked.difference_update(due)

    def _give_up(self, workflow_id: UUID) -> None:
        """It was never there; or it was, and has ended and been pruned since the last look."""
        pruned = workflow_id not in self._unchecked
        for waiter in self._waiters.pop(workflow_id, ()):
            waiter.end(UnknownWorkflowError(workflow_id, pruned=pruned))

    def _end(
        self, workflow_id: UUID, runs: Sequence[int], given: Completion | BaseException
    ) -> None:
        """End the waiting for these runs of a workflow."""
        for waiter in [w for w in self._waiters.get(workflow_id, ()) if w.run in runs]:
            waiter.end(given)
            self._forget(workflow_id, waiter)

    def _forget(self, workflow_id: UUID, waiter: _Waiter) -> None:
        waiters = self._waiters.get(workflow_id)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[workflow_id]
                self._unchecked.discard(workflow_id)


def _refusal(state: str) -> EngineStateError:
    return EngineStateError(state, "running", "completion")


def _why(found: Unsettled, queues: Sequence[str]) -> str:
    if not found.steps:
        return ""
    told: list[str] = []
    for step in found.steps:
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
    counted = "1 step has" if found.outstanding == 1 else f"{found.outstanding} steps have"
    more = "; …" if found.outstanding > len(found.steps) else ""
    return f"{_paused(found)}; {counted} not settled: {'; '.join(told)}{more}"


def _paused(found: Unsettled) -> str:
    if found.paused_at is None:
        return ""
    because = f" ({found.pause_reason})" if found.pause_reason else ""
    return f", but is paused since {found.paused_at:%Y-%m-%d %H:%M:%S} UTC{because}: resume() it"
