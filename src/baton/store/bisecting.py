"""Writing many rows at once, where somebody's trigger or one bad row may refuse some of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from baton.store.faults import holds_up_all

T = TypeVar("T")
R = TypeVar("R")


class Accepted(NamedTuple, Generic[T, R]):
    """A call that went through, with what it returned."""

    items: Sequence[T]
    reply: R


class Refused(NamedTuple, Generic[T]):
    """One item that the database refused alone."""

    item: T
    error: Exception


def halves(batch: Sequence[T]) -> tuple[list[T], list[T]]:
    middle = len(batch) // 2
    return list(batch[:middle]), list(batch[middle:])


async def bisected(
    items: Sequence[T], write: Callable[[Sequence[T]], Awaitable[R]]
) -> AsyncIterator[Accepted[T, R] | Refused[T]]:
    """Write all items in one call, and where a call is refused, its halves in calls of their own:
    one refused row among n costs about 2 log n calls.

    What becomes of each part is told when it is known. An outage is raised at once: what was told
    before is written, the rest is not. `write` must be a transaction of its own, safe to repeat.
    """
    batches = [list(items)] if items else []
    while batches:
        batch = batches.pop()
        try:
            reply = await write(batch)
        except Exception as error:
            if holds_up_all(error):
                raise
            if len(batch) == 1:
                yield Refused(batch[0], error)
            else:
                batches.extend(reversed(halves(batch)))
        else:
            yield Accepted(batch, reply)
