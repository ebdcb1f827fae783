"""A program that retries all failed workflows, and dies where it is told to.

Arguments: DSN; the place to die at ("action" or "progress", and how many of them); a bulk
operation's id to go on with. Without a place it comes to the end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from baton import Engine, subscribe
from baton.events import ActionDone, Event
from baton.insights import Bulk


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(dsn: str, place: str, number: int, bulk_id: str) -> None:
    seen = {"action": 0, "progress": 0}

    def meet(what: str) -> None:
        seen[what] += 1
        if (what, seen[what]) == (place, number):
            die()

    def heard(event: Event) -> None:
        # Emitted after the commit: nothing else has happened since.
        if isinstance(event, ActionDone):
            meet("action")

    def progress(bulk: Bulk) -> None:
        meet("progress")

    subscribe(heard)
    async with Engine(dsn) as engine:
        if bulk_id:
            await engine.resume_bulk(bulk_id, progress=progress)
        else:
            await engine.workflows(state="failed").retry(by="ann", progress=progress)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
