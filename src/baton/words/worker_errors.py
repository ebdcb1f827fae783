"""What the definition, the registration and the look-up of workers raise."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from baton.words.base_error import BatonError

_MOST_NAMED = 5


class WorkerError(BatonError):
    """The definition or look-up of a worker."""


class UnknownWorkerError(WorkerError):
    worker: str
    registered: tuple[str, ...]

    def __init__(self, worker: str, registered: Iterable[str] = ()) -> None:
        registered = tuple(registered)
        super().__init__(
            f"no worker named {worker!r} is registered in this process; import the module that "
            f"defines it (registered here: {_named(worker, registered)})",
            worker=worker,
            registered=registered,
        )


class DuplicateWorkerError(WorkerError):
    worker: str
    given: str
    registered: str

    def __init__(self, worker: str, given: str, registered: str, advice: str) -> None:
        super().__init__(
            f"another worker is registered as {worker!r}: the definition in {given} is not the one "
            f"in {registered}; {advice}",
            worker=worker,
            given=given,
            registered=registered,
        )


def _named(worker: str, registered: tuple[str, ...]) -> str:
    close = get_close_matches(worker, registered, _MOST_NAMED, 0.5)
    first = list(dict.fromkeys([*close, *registered]))[:_MOST_NAMED]
    more = [f"{len(registered) - len(first)} more"] if len(registered) > len(first) else []
    return ", ".join([*map(repr, first), *more]) or "none"
