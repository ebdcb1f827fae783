"""Emits what the queues hold and how many waits are open, for metrics."""

from __future__ import annotations

from baton.reading.insights import Insights
from baton.store.database import database_of
from baton.store.insights import count_open_waits
from baton.store.store import Store
from baton.telemetry import seam
from baton.words.events import QueueObserved, WaitsObserved
from baton.words.insights import QueueRow


class Observer:
    """Remembers which queues it told of: one that has become empty is told of as empty."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    async def observe(self, database: Store) -> None:
        """Emit the state of every queue and of the waits, where somebody subscribes."""
        if not seam.active:
            return
        rows = await Insights(database_of(database)).queues()
        for row in rows:
            seam.emit(_event(database.engine, row))
        empty = self._known.difference(row.queue for row in rows)
        for queue in sorted(empty):
            seam.emit(QueueObserved(database.engine, queue, dict.fromkeys(STATES, 0), 0.0, 0.0))
        self._known.update(row.queue for row in rows)
        seam.emit(WaitsObserved(database.engine, *await count_open_waits(database)))


STATES = ("available", "scheduled", "retryable", "executing", "suspended")


def _event(engine: str | None, row: QueueRow) -> QueueObserved:
    return QueueObserved(
        engine,
        row.queue,
        {state: getattr(row, state) for state in STATES},
        max(row.available_for or 0.0, 0.0),
        max(row.executing_for or 0.0, 0.0),
    )
