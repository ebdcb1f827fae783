"""What would be logged too often."""

from __future__ import annotations

from time import monotonic


class Seldom:
    """Something that is done at most once in `interval` seconds, at the first time at once."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._from = float("-inf")

    @property
    def due(self) -> bool:
        return monotonic() >= self._from

    def mark(self) -> None:
        """It is done now."""
        self._from = monotonic() + self._interval

    def take(self) -> bool:
        """Whether it is to be done now; then it counts as done."""
        if not self.due:
            return False
        self.mark()
        return True
