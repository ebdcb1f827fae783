"""What came of calling a step's code, as the outcome to write. Works wherever the step was called:
in the loop, in a thread, in another process. Never raises, whatever that code does.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from types import CoroutineType
from typing import Any

from baton.core import backoff
from baton.core.checks import seconds
from baton.core.errortext import describe
from baton.core.outcome import Cancel, Discard, Ending, Request, Skip, Snooze, outcome, requested
from baton.runtime.tasks import is_from_signal
from baton.steps.replay import Suspension
from baton.steps.results import encode_result
from baton.steps.step import Step, SyncStep, growth_of, notes_of, suspension_of
from baton.steps.usage import Notes
from baton.words.rows import ClaimedJob, Outcome
from baton.words.worker_errors import WorkerError
from baton.workers.registry import BuiltWorker

_log = logging.getLogger("baton")

_MEANT = {
    Snooze: "Snooze(30)",
    Cancel: "Cancel('reason')",
    Discard: "Discard('reason')",
    Skip: "Skip('reason')",
}


def attempt(
    job: ClaimedJob, built: BuiltWorker, step: SyncStep, result_limit: int
) -> tuple[Outcome, Notes]:
    """Call a plain `perform`; returns with its outcome what the step took down, which another
    process has written into a copy.

    Values and errors become text here: not every error survives the way between processes, and one
    that does not breaks the whole pool.
    """
    return _outcome(job, built, step, result_limit), notes_of(step)


def _outcome(job: ClaimedJob, built: BuiltWorker, step: SyncStep, result_limit: int) -> Outcome:
    try:
        value = built.perform(step)
        if inspect.iscoroutine(value):
            value.close()
            raise WorkerError(
                "perform returned a coroutine: a decorator hides that it is 'async def', "
                "or it has to be one: async def … return await …"
            )
    except BaseException as error:
        return failed(job, Ending.RAISED, error, built)
    return returned(job, value, step, result_limit)


def returned(job: ClaimedJob, value: object, step: Step | SyncStep, result_limit: int) -> Outcome:
    """The outcome of a call that returned."""
    try:
        asked = requested(job, value)
        if asked is not None:
            return asked
        ended = outcome(job, Ending.RETURNED, result=encode_result(value, result_limit))
        growth = growth_of(step)
        return ended if growth is None else ended._replace(growth=growth)
    except BaseException as error:
        if is_from_signal(error):
            raise
        slip = _slip(value)
        told = f"the result cannot be stored: {slip}" if slip else describe(error)
        return outcome(job, Ending.NOT_STORABLE, error=told)


def _slip(value: Any) -> str:
    """What was meant instead of a value that cannot be stored; empty when that is not known."""
    kind = type(value)
    for request, meant in _MEANT.items():
        if value is request:
            return f"the step returned the class {request.__name__}: return {meant}"
    if kind is CoroutineType:
        if inspect.getcoroutinestate(value) == inspect.CORO_CREATED:
            # Without its warning, which tells less.
            value.close()
        return f"the step returned a coroutine: return await {value.__name__}(…)"
    if issubclass(kind, asyncio.Future):
        return f"the step returned a {kind.__name__}, not its result: return await …"
    return ""


def failed(
    job: ClaimedJob, ending: Ending, error: BaseException, built: BuiltWorker | None = None
) -> Outcome:
    """The outcome of a call that raised, or could not be made. A second Ctrl-C is raised again: it
    says nothing of the call.
    """
    if is_from_signal(error):
        raise error
    asked = _asked(job, error) if ending is Ending.RAISED else None
    if asked is not None:
        return asked
    return outcome(job, ending, error=describe(error), delay=_delay(job, built))


def _asked(job: ClaimedJob, error: BaseException) -> Outcome | None:
    """What was asked for by raising Snooze, Cancel, Discard or Skip, alone or inside the group of a
    task group.
    """
    try:
        # An error may lie about its class, and about what it holds.
        while issubclass(type(error), BaseExceptionGroup):
            members = BaseExceptionGroup.exceptions.__get__(error)  # pyright: ignore[reportCallIssue, reportArgumentType]
            if len(members) != 1:
                return None
            (error,) = members
        return requested(job, error) if issubclass(type(error), Request) else None
    except BaseException:
        return None


def suspended(job: ClaimedJob, step: Step | SyncStep, error: BaseException) -> Outcome | None:
    """The outcome of a body that its wait ended; None when something else ended it.

    Task groups hand the suspension on inside a group of errors.
    """
    found = suspension_of(step) if isinstance(step, Step) else None
    if found is None or not _only_suspensions(error):
        return None
    return outcome(job, Ending.SUSPENDED)._replace(wait=found.wait)


def _only_suspensions(error: BaseException) -> bool:
    if issubclass(type(error), BaseExceptionGroup):
        return all(map(_only_suspensions, error.exceptions))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return type(error) is Suspension


def _delay(job: ClaimedJob, built: BuiltWorker | None) -> float:
    """Seconds until the next attempt: the worker's own backoff if it gives a usable one, else
    Baton's.
    """
    if built is not None:
        try:
            own = built.backoff(job.attempt)
            if own is not None:
                return seconds("backoff", own)
        except BaseException:
            _log.exception("the backoff of worker %r failed; the default is used", job.worker)
    return backoff.delay(job.attempt, unit_random=random.random())
