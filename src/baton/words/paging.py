"""Pages of lists that may be longer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a longer list, which are what it iterates over. `next` is what `after=` takes to
    go on, None at the end.

    A page may be short, even empty, and the list go on: only `next` tells the end.
    """

    rows: tuple[T, ...]
    next: str | None

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> T:
        return self.rows[place]
