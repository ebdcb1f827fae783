"""Makes due scheduled and retryable jobs available."""

from __future__ import annotations

from collections.abc import Callable

from baton.store.database import Database
from baton.store.jobs import stage_jobs
from baton.words.config import EngineSettings


class Stager:
    """One pass stages all that is due, batch by batch, and wakes the queues that got jobs."""

    def __init__(
        self, database: Database, settings: EngineSettings, wake: Callable[[str], None]
    ) -> None:
        self._database = database
        self._settings = settings
        self._wake = wake

    async def stage(self) -> None:
        limit = self._settings.stage_limit
        while True:
            staged = await stage_jobs(self._database, limit, notify=self._settings.notify)
            for queue in staged:
                self._wake(queue)
            if sum(staged.values()) < limit:
                return
