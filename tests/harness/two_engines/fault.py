"""What may be wrong, by the invariant that it breaks."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The names under which a storm's figures count."""

    LOST = "lost steps"
    SECOND = "second outcomes"
    WRONG = "wrong outcomes"
    EARLY = "started early"
    DUPLICATE = "duplicate announcements"
    MISSING = "missing announcements"
    UNSETTLED = "unsettled"
    TWICE = "waits resumed twice"
    NEVER = "waits resumed never"
    EVENTS = "events lost or doubled"
    TABLES = "rows that break a rule"
    PROCESSES = "processes"
    DELAYED = "innocent steps delayed"
    LOGS = "log lines"
    IDLE = "faults that did not strike"


class Fault(NamedTuple):
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"
