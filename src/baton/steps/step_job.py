"""From a worker with its arguments, or a wait, to a step as it is inserted."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from baton.steps.rules import Rules
from baton.steps.step_options import StepOptions
from baton.steps.wait_options import (
    WAIT_STEP_QUEUE,
    WAIT_STEP_WORKER,
    WaitStepOptions,
    new_wait_step,
)
from baton.words.argument_errors import InvalidArgumentError
from baton.words.rows import NewStep


class StepJob:
    """A worker's instance, or a function's job: what `add` takes."""

    __slots__ = ()

    @abstractmethod
    def _as_step(self, name: str, rules: Rules, options: StepOptions) -> NewStep:
        """A step with a checked name and checked rules. Raises InvalidOptionError,
        InvalidNameError, NotStorableError.
        """


def new_step(name: str, job: StepJob, rules: Rules, options: StepOptions) -> NewStep:
    """A step with a checked name and checked rules. Raises InvalidArgumentError,
    InvalidOptionError, InvalidNameError, NotStorableError.
    """
    given: Any = job
    if isinstance(given, StepJob):
        return given._as_step(name, rules, options)
    raise InvalidArgumentError("job", given, _right_job(name, given))


def wait_step(
    name: str, forms: Mapping[str, Any], on_timeout: object, rules: Rules, options: WaitStepOptions
) -> NewStep:
    """A wait step with a checked name and checked rules; `forms` are those of `wanted`. Raises
    InvalidOptionError, InvalidNameError, NotStorableError.
    """
    wait = new_wait_step(name, forms, on_timeout, options)
    return NewStep(
        name=name, worker=WAIT_STEP_WORKER, args="{}", queue=WAIT_STEP_QUEUE, wait=wait, **rules
    )


def _right_job(step: str, job: Any) -> str:
    name = getattr(job, "__name__", "")
    if inspect.iscoroutine(job):
        job.close()
        return f"a job, not a call: .add({step!r}, {name}.new(…))"
    if inspect.isclass(job):
        return f"an instance of a Worker: .add({step!r}, {name}(…))"
    if inspect.isroutine(job):
        return f"a job: decorate the function with @worker, then .add({step!r}, {name}.new(…))"
    if callable(job) and hasattr(job, "new"):
        return f"a job: .add({step!r}, {name}.new(…))"
    return "a worker's instance, such as FetchToken(…), or a function's job, process.new(…)"
