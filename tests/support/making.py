"""A worker whose steps come to an end that the test chooses."""

from __future__ import annotations

from typing import Any

from baton import Cancel, Discard, Skip, Step, worker


@worker
async def make(step: Step, *, value: Any = None, ends: str = "") -> Any:
    match ends:
        case "skipped":
            return Skip("nothing")
        case "cancelled":
            return Cancel("no")
        case "discarded":
            return Discard("no")
        case _:
            return value
