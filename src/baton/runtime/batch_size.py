"""How many outcomes one settlement takes."""

from __future__ import annotations


class BatchSize:
    """Fewer for a while after the server's statement time-out ended a settlement: a quarter of what
    did not fit, as each further miss would cost that time again; and twice as many once twice as
    many would have taken less than that time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds = 0.0
        self.now = most

    @property
    def reduced(self) -> bool:
        return self.now < self._most

    def too_slow(self, size: int, seconds: float) -> None:
        """A settlement of `size` outcomes was ended after `seconds`."""
        self.now = max(min(self.now, size // 4), 1)
        self._seconds = seconds

    def went_through(self, size: int, seconds: float) -> None:
        """A settlement of `size` outcomes took `seconds`."""
        if size >= self.now and 2 * seconds < self._seconds:
            self.now = min(2 * self.now, self._most)
