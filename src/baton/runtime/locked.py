"""Outcomes that a lock of somebody else keeps back: tried again later, apart from all others."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic

from baton.runtime.executor import Execution
from baton.telemetry.seldom import Seldom

_log = logging.getLogger("baton")

FIRST_DELAY = 0.5
LONGEST_DELAY = 5.0
SHORT_WAIT = 0.05
"""Seconds for which a settlement waits for a lock while locks keep others back."""
SHARE = 0.1
"""Part of its delay for which an outcome that is tried alone waits for its lock."""
SEEN_WAIT = 0.5
"""Seconds for which one waits that is to show who holds its lock."""
LOOKS = 3
"""Looks for a holder after which the warning does without one."""
WARNING_INTERVAL = 60.0
SHOWN = 10


@dataclass(slots=True)
class _Case:
    execution: Execution
    delay: float
    due: float
    tried: bool = False


class Locked:
    """By job id. Those `found` by asking cost no wait, and are asked about at a steady pace; those
    that waited in vain are tried later and later, each for a part of its delay: long enough for a
    lock that many take in turn, too short to hold up what is settled meanwhile.
    """

    def __init__(self) -> None:
        self._cases: dict[int, _Case] = {}
        self._warnings = Seldom(WARNING_INTERVAL)
        self._looks = 0

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def ids(self) -> list[int]:
        return list(self._cases)

    @property
    def unexplained(self) -> bool:
        """Whether the next warning is due."""
        return self._warnings.due

    @property
    def next_due(self) -> float | None:
        """Seconds until some are to be tried again; None when none are."""
        waiting = [case.due for case in self._cases.values() if not case.tried]
        return max(min(waiting) - monotonic(), 0.0) if waiting else None

    def keep(self, executions: Iterable[Execution], *, found: bool) -> None:
        now = monotonic()
        for execution in executions:
            case = self._cases.get(execution.job.id)
            delay = FIRST_DELAY
            if case is not None and not found:
                delay = min(2 * case.delay, LONGEST_DELAY)
            self._cases[execution.job.id] = _Case(execution, delay, now + delay)

    def take_due(self) -> list[Execution]:
        """Those whose delay is over."""
        now = monotonic()
        due = [c for c in self._cases.values() if c.due <= now and not c.tried]
        for case in due:
            case.tried = True
        return [case.execution for case in due]

    def wait(self, batch: Sequence[Execution]) -> float:
        """Seconds for which a batch that is tried apart waits for a lock."""
        case = self._cases.get(batch[0].job.id) if len(batch) == 1 else None
        if case is None:
            return SHORT_WAIT
        return SEEN_WAIT if self.unexplained else SHARE * case.delay

    def accept(self, settled: Iterable[Execution]) -> None:
        for execution in settled:
            self._cases.pop(execution.job.id, None)

    def warn(self, holders: str) -> None:
        """Say who holds the lock, at a bounded rate."""
        if not self.unexplained:
            return
        self._looks += 1
        if not holders and self._looks < LOOKS:
            return
        self._looks = 0
        self._warnings.mark()
        ids = self.ids
        shown = ", ".join(map(str, ids[:SHOWN])) + (", …" if len(ids) > SHOWN else "")
        _log.warning(
            "the outcomes of %d jobs wait for locks held by others (jobs %s): %s",
            len(ids),
            shown,
            holders or "their holder was not seen",
        )
