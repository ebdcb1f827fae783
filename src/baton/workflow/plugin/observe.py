"""Emits what the queues hold and how many waits are open, for metrics."""

from __future__ import annotations

from baton.engine import telemetry
from baton.store.database import Database
from baton.store.insights import count_open_waits
from baton.words.events import QueueObserved, WaitsObserved
from baton.words.insights import QueueRow
from baton.workflow.insights import Insights


class Observer:
    """Remembers which queues it told of: one that has become empty is told of as empty."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    async def observe(self, database: Database) -> None:
        """Emit the state of every queue and of the waits, where somebody subscribes."""
        if not telemetry.active:
            return
        rows = await Insights(database).queues()
        for row in rows:
            telemetry.emit(_event(row))
        empty = self._known.difference(row.queue for row in rows)
        for queue in sorted(empty):
            telemetry.emit(QueueObserved(queue, dict.fromkeys(STATES, 0), 0.0, 0.0))
        self._known.update(row.queue for row in rows)
        telemetry.emit(WaitsObserved(*await count_open_waits(database)))


STATES = ("available", "scheduled", "retryable", "executing", "suspended")


def _event(row: QueueRow) -> QueueObserved:
    return QueueObserved(
        row.queue,
        {state: getattr(row, state) for state in STATES},
        max(row.available_for or 0.0, 0.0),
        max(row.executing_for or 0.0, 0.0),
    )
