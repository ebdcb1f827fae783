"""Makes due scheduled and retryable jobs available."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from baton.runtime.quarantine import Quarantine, bisect
from baton.store.faults import holds_up_all, is_too_slow
from baton.store.jobs import find_due_jobs, stage_chosen, stage_jobs
from baton.store.store import Store
from baton.words.config import EngineSettings

T = TypeVar("T")


class Stager:
    """One pass stages all that is due, batch by batch, and wakes the queues that got jobs.

    A batch that is refused is bisected, so that one job keeps no other back. A batch that takes
    longer than a statement may is halved, and grows again while batches succeed.
    """

    def __init__(
        self, database: Store, settings: EngineSettings, wake: Callable[[str], None]
    ) -> None:
        self._database = database
        self._settings = settings
        self._wake = wake
        self._size = settings.stage_limit
        self._refused: Quarantine[int] = Quarantine("job %s cannot be staged")

    async def stage(self) -> None:
        await self._stage_refused()
        while True:
            size = self._size
            try:
                staged = await self._send(partial(self._stage_next, size))
            except Exception as error:
                if is_too_slow(error):
                    self._size = max(size // 2, 1)
                if holds_up_all(error):
                    raise
                if await self._bisect(self._size) < self._size:
                    return
                continue
            self._size = min(size + size // 4 + 1, self._settings.stage_limit)
            self._emit(staged)
            if sum(staged.values()) < size:
                return

    async def _bisect(self, size: int) -> int:
        """Stage the next `size` jobs as far as the database accepts them; how many there were."""
        found = await find_due_jobs(self._database, size, self._refused.ids)
        await bisect(found, self._stage, self._refused.refuse)
        # More than can be left out would be the first of every batch.
        return 0 if self._refused.full else len(found)

    async def _stage_refused(self) -> None:
        """Try those again whose delay is over."""
        await bisect(self._refused.take_due(), self._stage, self._refused.refuse)

    async def _stage_next(self, size: int, notify: bool) -> dict[str, int]:
        return await stage_jobs(self._database, size, self._refused.ids, notify=notify)

    async def _send(self, write: Callable[[bool], Awaitable[T]]) -> T:
        return await self._database.notifications.send(write, self._settings.notify)

    async def _stage(self, job_ids: Sequence[int]) -> None:
        async def write(notify: bool) -> dict[str, int]:
            return await stage_chosen(self._database, job_ids, notify=notify)

        self._emit(await self._send(write))
        self._refused.accept(job_ids)

    def _emit(self, staged: dict[str, int]) -> None:
        for queue in staged:
            self._wake(queue)
