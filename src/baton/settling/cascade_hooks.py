"""After a cascade: tells of the steps it cancelled and calls their workers' hooks, once, best
effort.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

from baton.runtime.meta import workflow_name_of
from baton.steps.step import step_of
from baton.store.ambient import enter_engine_of
from baton.store.store import Store
from baton.telemetry import seam
from baton.words.config import EngineSettings
from baton.words.events import StepCancelled, StepSkipped
from baton.words.rows import CancelledStep, ClaimedJob, Node
from baton.words.states import JobState, StepState
from baton.workers import registry
from baton.workers.args import built_for_hook
from baton.workers.registry import Hook, WorkerSpec

_log = logging.getLogger("baton")

STOP_TIMEOUT = 5.0


class CascadeHooks:
    """Runs `on_dep_cancelled` and `on_dep_discarded` of cancelled steps in tasks of their own."""

    def __init__(self, database: Store, settings: EngineSettings) -> None:
        self._database = database
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, steps: Sequence[CancelledStep]) -> None:
        for task in emit_cancelled_steps(self._database, self._settings, steps):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self, timeout: float = float("inf")) -> None:
        """Let hooks that run finish, at most STOP_TIMEOUT and `timeout` seconds."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=min(timeout, STOP_TIMEOUT))
            for task in late:
                task.cancel()


# The loop alone would not keep a task alive.
_calls: set[asyncio.Task[None]] = set()


def emit_cancelled_steps(
    database: Store, settings: EngineSettings, steps: Sequence[CancelledStep]
) -> list[asyncio.Task[None]]:
    """Emit the events of steps that a cascade cancelled or skipped and start the hooks, in
    tasks.
    """
    started: list[asyncio.Task[None]] = []
    emit_step_ends(database.engine, steps)
    for step in steps:
        if _hook(step) is not None:
            started.append(asyncio.get_running_loop().create_task(_call(database, settings, step)))
    for task in started:
        _calls.add(task)
        task.add_done_callback(_calls.discard)
    return started


def emit_step_ends(engine: str | None, steps: Sequence[CancelledStep]) -> None:
    """Emit the events of steps that were cancelled or skipped. All that there is to do for skipped
    ones: they have no hooks.
    """
    if seam.active:
        for step in steps:
            seam.emit(_event(engine, step))


async def _call(database: Store, settings: EngineSettings, step: CancelledStep) -> None:
    found = _hook(step)
    if found is None:
        return
    spec, hook, dependency = found
    # A step of another engine may have caused this: what the hook inserts belongs to its own.
    enter_engine_of(database)
    try:
        seen = step_of(_job(step), database, settings)
        await hook(built_for_hook(spec, step.args), seen, dependency)
    except BaseException:
        # A SystemExit that left this task would end the application's loop.
        _log.exception("the hook of cancelled step %r failed", step.name)


def _hook(step: CancelledStep) -> tuple[WorkerSpec, Hook, str] | None:
    spec = registry.find(step.worker)
    if spec is None or step.dependency is None or step.dependency_state is None:
        return None
    hook = spec.hook(step.dependency_state)
    return None if hook is None else (spec, hook, step.dependency)


def _job(step: CancelledStep) -> ClaimedJob:
    node = Node(
        step.workflow_id, step.name, 0, StepState.CANCELLED, 0, None, step.model, step.debug
    )
    return ClaimedJob(
        step.job_id,
        datetime.min,  # noqa: DTZ901 no claim
        step.queue,
        step.worker,
        step.args,
        step.meta,
        step.attempt,
        step.max_attempts,
        node,
    )


def _event(engine: str | None, step: CancelledStep) -> StepCancelled | StepSkipped:
    kind = StepSkipped if step.skipped else StepCancelled
    return kind(
        engine=engine,
        job_id=step.job_id,
        worker=step.worker,
        queue=step.queue,
        state=JobState.CANCELLED,
        attempt=step.attempt,
        workflow_id=step.workflow_id,
        workflow_name=workflow_name_of(step.meta),
        step=step.name,
        duration=0.0,
        has_result=False,
        error=step.reason,
    )
