"""What becomes of outcomes that could not be written though the database works.

A batch that is refused says nothing of the outcomes in it but that one of them may be refused. It
is tried again apart from all else, then in halves, while others go on: what is good is written, and
what is refused alone, or waits alone for somebody's lock, is kept back and tried again later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from baton.runtime.executor import Execution
from baton.runtime.ledger_protocol import Reply
from baton.runtime.locked import Locked
from baton.runtime.outbox import Batch, Outbox
from baton.runtime.queues import MOST_REFUSED, Queues
from baton.runtime.refusals import Refusals
from baton.store.faults import is_statement_timeout

_log = logging.getLogger("baton")

LOCKED_WAIT = 0.2
"""Seconds for which outcomes wait for locks while somebody's lock keeps others back."""


class Setbacks:
    """Refused and locked outcomes of one engine; brings them back to the outbox when they are due,
    and calls `plan`.
    """

    def __init__(self, outbox: Outbox, queues: Queues, plan: Callable[[], None]) -> None:
        self._outbox = outbox
        self._queues = queues
        self._plan = plan
        self._refusals = Refusals()
        self._locked = Locked()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def ids(self) -> list[int]:
        """The jobs whose outcomes are kept."""
        return [*self._refusals.ids, *self._locked.ids]

    @property
    def refused_ids(self) -> list[int]:
        return self._refusals.ids

    @property
    def locked(self) -> bool:
        """Whether somebody's lock keeps outcomes back."""
        return bool(self._locked)

    @property
    def hopeful(self) -> bool:
        """Whether some may still be written before the engine ends."""
        return bool(self._locked) or self._refusals.hopeful

    def lock_timeout(self, batch: Batch) -> float | None:
        """Seconds for which a batch waits for locks, None: as always. While somebody's lock keeps
        outcomes back, others do not wait long for theirs.
        """
        if batch.suspect:
            return self._locked.wait(batch.executions)
        return LOCKED_WAIT if self._locked else None

    def refuse(self, batch: Batch, error: Exception, seconds: float) -> None:
        """A batch was refused after `seconds`."""
        executions = batch.executions
        if is_statement_timeout(error):
            self._outbox.size.too_slow(len(executions), seconds)
        if not batch.suspect:
            self._outbox.suspect(executions)
        elif len(executions) > 1:
            self._outbox.bisect(executions)
        else:
            self._refuse_one(executions[0], error)

    def _refuse_one(self, execution: Execution, error: Exception) -> None:
        self._locked.accept([execution])
        if self._refusals.refuse(execution, error):
            self._outbox.suspect([execution])
            return
        queue = self._queues[execution.job.queue]
        queue.refused += 1
        if queue.refused == queue.limit + MOST_REFUSED:
            _log.error(
                "queue %r claims nothing for now: the last %d outcomes of its jobs were refused",
                queue.name,
                queue.refused,
            )
        self._set_timer()

    def written(self, batch: Batch, reply: Reply) -> Sequence[Execution]:
        """Those of a settled batch that were written; keeps what somebody's lock holds up."""
        written = batch.executions
        if reply.holders is not None:
            self._locked.keep(written, found=bool(reply.blocked))
            self._locked.warn(reply.holders)
            written = ()
        elif reply.blocked:
            self._locked.keep([e for e in written if e.job.id in reply.blocked], found=True)
            written = [e for e in written if e.job.id not in reply.blocked]
        if self._locked or self._refusals:
            self._accept(written)
            self._set_timer()
        return written

    def _accept(self, written: Sequence[Execution]) -> None:
        self._locked.accept(written)
        self._refusals.accept(written)
        for execution in written:
            queue = self._queues[execution.job.queue]
            if queue.useless:
                queue.wake()
            queue.refused = 0

    def _set_timer(self) -> None:
        """Bring back what was kept when the first of it is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [d for d in (self._refusals.next_due, self._locked.next_due) if d is not None]
        if due and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(min(due), self._bring_back)

    def _bring_back(self) -> None:
        self._outbox.suspect_each(self._refusals.take_due())
        locked = self._locked.take_due()
        if self._locked.unexplained:
            # Alone, one shows whom it waits for.
            self._outbox.suspect(locked[:1])
            locked = locked[1:]
        self._outbox.suspect(locked)
        self._set_timer()
        self._plan()

    def try_last(self) -> None:
        """The engine ends: what was refused is tried once more, now."""
        self._refusals.try_last()
        self._bring_back()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
