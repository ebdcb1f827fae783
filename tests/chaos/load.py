"""The application: inserts workflows, cancels some, and waits for the end of each."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from baton import Baton, Engine, insert_all
from baton.words.errors import WorkflowExistsError
from support.running import fast
from two_engines.graphs import Expected, graph

BATCH = 5
STEPS = 12
SECONDS = 0.15
PATIENCE = 0.2
CANCELLED = 0.15


class Application:
    """Made by `application`. Whatever a call raises, it makes the call again."""

    def __init__(self, engine: Engine, chance: random.Random, most_open: int) -> None:
        self._engine = engine
        self._chance = chance
        self._most_open = most_open
        self._waiting: set[asyncio.Task[None]] = set()
        self.expected: dict[UUID, Expected] = {}
        self.ended: Counter[UUID] = Counter()
        self.raised: Counter[str] = Counter()
        self.enough = False

    @property
    def open(self) -> int:
        return len(self.expected) - len(self.ended)

    async def work(self) -> None:
        """Insert until `enough`, as fast as what was inserted ends."""
        while not self.enough:
            if self.open < self._most_open:
                await self._insert()
            await asyncio.sleep(0.02)

    async def _insert(self) -> None:
        made: list[tuple[Baton, Expected]] = []
        for _ in range(BATCH):
            shape = graph(self._chance, STEPS)
            workflow = shape.workflow(SECONDS * self._chance.random())
            made.append((workflow, Expected(workflow.workflow_id, shape)))
        # From here on they may be in the tables, whatever the call says.
        self.expected.update((one.workflow_id, one) for _, one in made)
        while True:
            try:
                await insert_all([workflow for workflow, _ in made], self._engine)
                break
            except WorkflowExistsError:
                break
            except Exception as error:
                await self._again("insert", error)
        for workflow, _ in made:
            self._begin(self._await_end(workflow.workflow_id))
            if self._chance.random() < CANCELLED:
                self._begin(self._cancel(workflow.workflow_id, self._chance.random()))

    async def _cancel(self, workflow_id: UUID, after: float) -> None:
        await asyncio.sleep(after)
        self.expected[workflow_id] = replace(self.expected[workflow_id], cancelled=True)
        while True:
            try:
                await self._engine.cancel(workflow_id)
                return
            except Exception as error:
                await self._again("cancel", error)

    async def _await_end(self, workflow_id: UUID) -> None:
        while True:
            try:
                await self._engine.completion(workflow_id)
                self.ended[workflow_id] += 1
                return
            except Exception as error:
                await self._again("completion", error)

    async def _again(self, what: str, error: Exception) -> None:
        self.raised[f"{what}: {type(error).__name__}"] += 1
        await asyncio.sleep(PATIENCE)

    def _begin(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def all_ended(self, deadline: float) -> list[UUID]:
        """Wait until all that was begun has ended; the workflows that have not in time."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=deadline)
        return [workflow_id for workflow_id in self.expected if not self.ended[workflow_id]]

    async def stop(self) -> None:
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@asynccontextmanager
async def application(
    dsn: str, chance: random.Random, most_open: int
) -> AsyncIterator[Application]:
    async with fast(dsn, queues={}, poll_interval=0.5, command_timeout=5.0) as engine:
        made = Application(engine, chance, most_open)
        try:
            yield made
        finally:
            await made.stop()
