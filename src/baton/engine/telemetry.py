"""The one seam through which everything that happens is told. Subscribers get typed event records.

`active` is False while nobody subscribes; callers check it before they build a record, so that
silence costs one attribute look-up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from baton.words.events import Event

Subscriber = Callable[[Event], None]

active = False

_subscribers: tuple[Subscriber, ...] = ()
_log = logging.getLogger("baton")


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Call `subscriber(event)` for every event of this process, in the loop that emits it; it must
    not block.

    Returns a function that unsubscribes. A subscriber that raises is logged and hurts nobody.
    """
    _replace((*_subscribers, subscriber))

    def unsubscribe() -> None:
        _replace(tuple(s for s in _subscribers if s is not subscriber))

    return unsubscribe


def emit(event: Event) -> None:
    """Tell every subscriber."""
    for subscriber in _subscribers:
        try:
            subscriber(event)
        except (Exception, asyncio.CancelledError):
            _log.exception("a telemetry subscriber failed on %s", event.EVENT)


def _replace(subscribers: tuple[Subscriber, ...]) -> None:
    global active, _subscribers
    _subscribers = subscribers
    active = bool(subscribers)
