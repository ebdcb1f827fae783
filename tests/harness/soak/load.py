"""The application: inserts at a steady rate, sends, cancels, and waits for every end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg

from baton import Engine, send_event, subscribe
from baton.words.events import WorkflowFinished
from soak.work import KINDS, Kind

LOOSE = 0.05
"""How many jobs outside workflows and events that nobody waits for there are, per workflow."""
PATIENCE = 120.0


class Application:
    """Its engine performs nothing."""

    def __init__(self, engine: Engine, connection: asyncpg.Connection[Any], seed: int) -> None:
        self._engine = engine
        self._connection = connection
        self._free = asyncio.Lock()
        self._chance = random.Random(seed)
        self._at_work: set[asyncio.Task[None]] = set()
        self.inserted: Counter[str] = Counter()
        self.announced: Counter[UUID] = Counter()
        self.tried: set[UUID] = set()
        self.ids: set[UUID] = set()
        self.latencies: list[float] = []
        self.faults: list[str] = []
        subscribe(
            lambda event: (
                self.announced.update([event.workflow_id])
                if isinstance(event, WorkflowFinished)
                else None
            )
        )

    async def work(self, rate: float, seconds: float) -> None:
        """Insert `rate` workflows a second; after a stall at once what has been missed."""
        began, made = monotonic(), 0
        names = list(KINDS)
        weights = [KINDS[name][0] for name in names]
        while (now := monotonic() - began) < seconds:
            while made < now * rate:
                made += 1
                name = self._chance.choices(names, weights)[0]
                self._begin(self._one(name, KINDS[name][1], f"key {made}"))
                if self._chance.random() < LOOSE:
                    self._begin(self._loose(f"lost {made}"))
            await asyncio.sleep(max((made + 1) / rate - (monotonic() - began), 0.0))

    async def all_ended(self) -> None:
        if self._at_work:
            _, late = await asyncio.wait(self._at_work, timeout=PATIENCE)
            self.faults += [f"not ended after {PATIENCE} s: {task.get_name()}" for task in late]
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _one(self, name: str, kind: Kind, key: str) -> None:
        workflow = kind.build(self._chance, key)
        self.tried.add(workflow.workflow_id)
        await workflow.insert(engine=self._engine)
        self.ids.add(workflow.workflow_id)
        self.inserted[name] += 1
        if kind.by_key:
            await send_event(
                None, "go", {"n": 1}, correlation_key=key, dedupe_id=key, engine=self._engine
            )
        elif kind.event is not None:
            await send_event(workflow.workflow_id, kind.event, {"n": 1}, engine=self._engine)
        if kind.cancelled:
            await self._engine.workflow(workflow.workflow_id).cancel()
        end = await self._engine.workflow(workflow.workflow_id).completion(timeout=PATIENCE)
        if end.outcome != kind.outcome:
            self.faults.append(f"{name} {workflow.workflow_id} is {end.outcome}")
        if kind.steady:
            self.latencies.append(end.duration.total_seconds())

    async def _loose(self, key: str) -> None:
        await send_event(None, "nobody", {"n": 1}, correlation_key=key, engine=self._engine)
        async with self._free:
            await self._connection.execute(
                "INSERT INTO baton.oban_jobs (worker, args) VALUES ('soak.records', '{}')"
            )

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        async def watched() -> None:
            try:
                await work
            except Exception as error:
                self.faults.append(repr(error))

        task = asyncio.create_task(watched())
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
