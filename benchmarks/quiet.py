"""Whether other programs use the machine: looked at before and after each run, never during it."""

from __future__ import annotations

import time
from pathlib import Path

STATISTICS = Path("/proc/stat")
SAMPLE_SECONDS = 0.25
QUIET_SHARE = 0.2


def busy_share() -> float | None:
    """Share of all processors in use over a quarter of a second; None but on Linux."""
    if not STATISTICS.exists():
        return None
    idle, total = _ticks()
    time.sleep(SAMPLE_SECONDS)
    idle_later, total_later = _ticks()
    return 1 - (idle_later - idle) / max(1, total_later - total)


def wait_until_quiet(patience: float) -> float | None:
    """Wait, at most `patience` seconds, until less than a fifth is in use; the last share seen."""
    deadline = time.monotonic() + patience
    share = busy_share()
    while share is not None and share >= QUIET_SHARE and time.monotonic() < deadline:
        share = busy_share()
    return share


def _ticks() -> tuple[int, int]:
    values = [int(value) for value in STATISTICS.read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = values[3:5]
    return idle + waiting, sum(values)
