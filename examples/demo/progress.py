"""Shows how a workflow goes on: one line that is redrawn on a terminal, else a line per step."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from typing import TextIO
from uuid import UUID

from baton.events import Event, JobsRescued, StepExecuting, StepSettled

REDRAW_INTERVAL = 0.1
BAR = 24
ENDED = frozenset({"completed", "cancelled", "discarded"})


class Progress:
    """A subscriber of events. `states` are those of the tables when it starts, by step."""

    def __init__(self, workflow_id: UUID, states: Mapping[str, str], out: TextIO) -> None:
        self._workflow_id = workflow_id
        self._states = dict(states)
        self._out = out
        self._live = out.isatty()
        self._started = time.monotonic()
        self._current = ""

    @property
    def done(self) -> int:
        return sum(state in ENDED for state in self._states.values())

    def __call__(self, event: Event) -> None:
        match event:
            case JobsRescued(job_ids=job_ids):
                self.say(f"rescued {len(job_ids)} steps that were running when the demo was killed")
            case StepExecuting(workflow_id=self._workflow_id, step=str(step)):
                self._states[step] = "executing"
                self._current = step
            case StepSettled(workflow_id=self._workflow_id, step=str(step)):
                self._settled(step, event)
            case _:
                pass

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self._erase()
        print(text, file=self._out, flush=True)

    async def redraw(self) -> None:
        """Keep the line up to date until cancelled."""
        while self._live:
            self._draw()
            await asyncio.sleep(REDRAW_INTERVAL)

    def close(self) -> None:
        """Leave the terminal clean."""
        self._erase()
        self._out.flush()

    def _settled(self, step: str, event: StepSettled) -> None:
        self._states[step] = str(event.state)
        if event.state != "completed":
            self.say(f"{step}: {event.state}, {event.error or 'not finished'}")
        elif not self._live:
            count = f"{self.done:>4}/{len(self._states)}"
            self.say(f"{count}  {event.state}  {step}  {event.duration:.3f} s")

    def _draw(self) -> None:
        total = len(self._states)
        full = BAR * self.done // total
        elapsed = time.monotonic() - self._started
        running = sum(state == "executing" for state in self._states.values())
        line = (
            f"[{'#' * full}{'.' * (BAR - full)}] {self.done}/{total} steps, {running} running, "
            f"{elapsed:.1f} s  {self._current}"
        )
        width = shutil.get_terminal_size().columns - 1
        self._out.write(f"\r\x1b[K{line[:width]}")
        self._out.flush()

    def _erase(self) -> None:
        if self._live:
            self._out.write("\r\x1b[K")
