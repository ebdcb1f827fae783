"""The options of one step, as `add` takes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from baton.core.checks import Seconds


class StepOptions(TypedDict, total=False):
    """Options of one step; None means the worker's own. Delays count from insertion, by the
    database's clock.
    """

    queue: str | None
    max_attempts: int | None
    priority: int | None
    tags: Iterable[str] | None
    timeout: Seconds | None
    schedule_in: Seconds | None
    schedule_at: datetime | None
    model: str | None
