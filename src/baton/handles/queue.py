"""The handle of one queue of an engine."""

from __future__ import annotations

from baton.core.checks import check_queue_limit
from baton.handles.parts import EngineParts
from baton.runtime.queues import Queue
from baton.store.ambient import opened


class QueueHandle:
    """One queue of an engine, on this engine alone: `engine.queue("mail")`.

    All calls raise EngineStateError unless the engine runs.
    """

    def __init__(self, parts: EngineParts, name: str) -> None:
        self._parts = parts
        self._queue = parts.runtime.producer.queues[name]

    @property
    def name(self) -> str:
        return self._queue.name

    def __repr__(self) -> str:
        return f"<QueueHandle {self.name!r} of engine {self._parts.engine.settings.name!r}>"

    def pause(self) -> None:
        """Start no more jobs of the queue on this engine; what runs goes on."""
        self._opened("pause").paused = True

    def resume(self) -> None:
        """Undo `pause`."""
        self._opened("resume").paused = False
        self._parts.runtime.producer.wake(self.name)

    def scale(self, limit: int) -> None:
        """Change how many jobs of the queue this engine runs at once (at least 1). Running jobs go
        on.
        """
        check_queue_limit(limit)
        self._opened("scale").limit = limit
        self._parts.runtime.producer.wake(self.name)

    def _opened(self, call: str) -> Queue:
        opened(call, self._parts.engine)
        return self._queue
