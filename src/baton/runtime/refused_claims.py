"""What becomes of a claim that the database refuses: the refused job is quarantined.

A poll claims the first available jobs of its queues, so one that cannot be claimed would make
every poll fail. Its queues wait while it is found: the next jobs of each are claimed on trial,
by halves, and nothing is claimed by that. What is refused alone goes into a quarantine, and the
polls that follow leave it out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from baton.runtime.ledger_protocol import Ledger
from baton.runtime.quarantine import Quarantine
from baton.runtime.queues import Queue, Queues, Reservation
from baton.store.faults import is_too_slow

_log = logging.getLogger("baton")

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0


class Claims:
    """The jobs that one engine's claims leave out. `plan` polls the queues again."""

    def __init__(self, queues: Queues, ledger: Ledger, plan: Callable[[], None]) -> None:
        self._queues = queues
        self._ledger = ledger
        self._plan = plan
        self._refused: Quarantine[int] = Quarantine("job %s cannot be claimed")
        self._queue_of: dict[int, str] = {}
        self._delays: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def left_out(self) -> Mapping[str, Sequence[int]]:
        """By queue, the jobs that a poll must not claim."""
        found: dict[str, list[int]] = {}
        for job_id in self._refused.ids if self._refused else ():
            found.setdefault(self._queue_of[job_id], []).append(job_id)
        return found

    def refused(
        self, reservations: Sequence[Reservation], error: Exception, *, alone: bool
    ) -> None:
        """A poll for these reservations was refused; `alone`: no outcome was settled with it."""
        for queue, room, _, _ in reservations:
            if is_too_slow(error) and room > 1:
                queue.most = room // 2
            # Another poll may have been refused for the same job.
            elif not queue.quarantined:
                queue.quarantined = True
                self._begin(self._examine(queue, error, alone=alone))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _examine(self, queue: Queue, error: Exception, *, alone: bool) -> None:
        try:
            left_out = self.left_out.get(queue.name, ())
            found = await self._ledger.find_refused_claims(queue.name, queue.limit, left_out)
        except Exception as failure:
            self._reopen_later(queue, failure)
            return
        for job_id, reason in found:
            self._refused.refuse(job_id, reason)
            if job_id in self._refused:
                self._queue_of[job_id] = queue.name
        if self._refused.full or (alone and not found):
            # Too many are refused, or no job alone is.
            self._reopen_later(queue, error)
        else:
            self._reopen(queue)
        self._set_timer()

    def _reopen_later(self, queue: Queue, error: Exception) -> None:
        delay = min(2 * self._delays.get(queue.name, FIRST_DELAY / 2), LONGEST_DELAY)
        self._delays[queue.name] = delay
        _log.log(
            logging.ERROR if delay == LONGEST_DELAY else logging.INFO,
            "jobs of queue %r cannot be claimed; it is tried again in %g s: %r",
            queue.name,
            delay,
            error,
        )
        asyncio.get_running_loop().call_later(delay, self._reopen, queue)

    def _reopen(self, queue: Queue) -> None:
        self._queues.reopen(queue)
        self._plan()

    def worked(self, reservations: Sequence[Reservation]) -> None:
        """A poll for these was not refused."""
        for reservation in reservations if self._delays else ():
            self._delays.pop(reservation.queue.name, None)

    def _set_timer(self) -> None:
        due = self._refused.next_due()
        if due is not None and self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(due, self._try_again)

    def _try_again(self) -> None:
        self._timer = None
        self._begin(self._try_refused())

    async def _try_refused(self) -> None:
        due = self._refused.take_due()
        try:
            still = dict(await self._ledger.try_claims(due))
        except Exception as error:
            # An outage: they come again when they are due again.
            _log.debug("refused claims could not be tried again: %r", error)
        else:
            for job_id in due:
                if job_id in still:
                    self._refused.refuse(job_id, still[job_id])
                else:
                    self._refused.accept([job_id])
                    self._queues.wake(self._queue_of.pop(job_id))
            self._plan()
        self._set_timer()

    def close(self) -> Sequence[asyncio.Task[None]]:
        """Begin nothing more; the tasks that are to be cancelled."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        return list(self._tasks)
