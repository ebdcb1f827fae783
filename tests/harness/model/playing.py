"""What rules are made of that play several others in turn."""

from __future__ import annotations

from model.calls import Demand, Outcome
from model.needs import shown
from model.requests import Requesting
from model.retrying import Retrying
from model.sweeping import Sweeping
from model.working import Working


class Playing(Working, Requesting, Retrying, Sweeping):
    """All simple rules."""

    def _begin_one(self, worker: int) -> None:
        for queue in ("default", "io"):
            if not self.held[worker]:
                self.then(self._settle, "claim", worker, 0, [Demand(queue, 1)])

    def _work_off(self, number: int) -> None:
        """A worker claims all there is, finds what it lost, performs it and settles."""
        self._beat(number, alive=True)
        for queue in ("default", "io"):
            if self.model.claimable(queue) or self.model.workers[number].lost:
                self.then(self._settle, "claim", number, 100, [Demand(queue, 10)])
        while self.held[number]:
            self._finish(number)
        if self.buffer[number]:
            self.then(self._settle, "settle", number, 100, [])

    def _place(self, number: int) -> int:
        """Picks the first job that this worker holds."""
        order = [n for n, held in self.held.items() if held]
        # Its place among the workers that hold something.
        place = order.index(number)
        while place % len(self.held[number]):
            place += len(order)
        return place

    def _finish(self, number: int) -> None:
        place = self._place(number)
        self.values += 1
        value = self.values
        self._perform(
            "finish_ok", place, lambda h: Outcome(h, "completed", value), lambda: shown(value)
        )
        self.agrees()
