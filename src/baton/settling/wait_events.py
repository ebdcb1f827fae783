"""Tells of waits that settled."""

from __future__ import annotations

from collections.abc import Sequence

from baton.telemetry import seam
from baton.words.effects import SettledWait
from baton.words.events import WaitSettled


def emit_settled_waits(engine: str | None, waits: Sequence[SettledWait]) -> None:
    """Emit the events of waits that this engine, or this process without one, has just settled and
    committed.
    """
    if seam.active:
        for wait in waits:
            seam.emit(WaitSettled(engine, *wait))
