"""From a worker with its arguments to a step as it is inserted."""

from __future__ import annotations

import inspect
from typing import Any

from baton.steps.rules import Rules
from baton.steps.step_options import StepOptions
from baton.words.argument_errors import InvalidArgumentError
from baton.words.jobs import StepJob
from baton.words.rows import NewStep
from baton.workers.args import NewJob
from baton.workers.class_worker import Worker, job_of
from baton.workers.function_worker import FunctionWorker
from baton.workers.options import step_options
from baton.workers.registry import held_spec


def new_step(name: str, job: StepJob, rules: Rules, options: StepOptions) -> NewStep:
    """A step with a checked name. Raises InvalidArgumentError, InvalidOptionError,
    InvalidNameError, NotStorableError.
    """
    new = _job(name, job)
    spec = held_spec(new)
    fields = {**spec.defaults, **step_options(options)} if options else spec.defaults
    return NewStep(name=name, worker=spec.name, args=new.args, **rules, **fields)


def _job(step: str, job: object) -> NewJob:
    if isinstance(job, NewJob):
        return job
    if isinstance(job, Worker):
        return job_of(job)
    raise InvalidArgumentError("job", job, _right_job(step, job))


def _right_job(step: str, job: Any) -> str:
    name = getattr(job, "__name__", "")
    if isinstance(job, FunctionWorker):
        return f"a job: .add({step!r}, {name}.new(…))"
    if inspect.iscoroutine(job):
        job.close()
        return f"a job, not a call: .add({step!r}, {name}.new(…))"
    if inspect.isclass(job):
        return f"an instance of a Worker: .add({step!r}, {name}(…))"
    if inspect.isroutine(job):
        return f"a job: decorate the function with @worker, then .add({step!r}, {name}.new(…))"
    return "a worker's instance, such as FetchToken(…), or a function's job, process.new(…)"
