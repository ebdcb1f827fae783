"""One question to several models: a step for each, and a step that makes one of their answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, TypeAlias

from baton.core.checks import listed
from baton.core.names import free_name, validate_model_name
from baton.steps.step_job import StepJob
from baton.words.argument_errors import InvalidArgumentError, InvalidOptionError
from baton.workers.function_worker import FunctionWorker

JobOfModel: TypeAlias = Callable[[str], StepJob]


def chosen_model(model_map: Mapping[str, str], step: str, given: str | None) -> str | None:
    """The model of a step: the one given, or else the step's name, looked up in the map."""
    return model_map.get(step) if given is None else model_map.get(given, given)


def checked_model_map(given: Any) -> dict[str, str]:
    """A map of roles, or names of steps, to models. Raises InvalidOptionError, InvalidNameError."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        expected = "a mapping of roles to models, such as {'fast': 'gpt-4o-mini'}"
        raise InvalidOptionError("model_map", given, expected)
    return {validate_model_name(role): validate_model_name(model) for role, model in given.items()}


def branches(
    name: str, models: Iterable[str], model_map: Mapping[str, str], taken: Container[str]
) -> dict[str, str]:
    """A free step name for each model, in their order. Raises InvalidOptionError,
    InvalidNameError.
    """
    branches: dict[str, str] = {}
    used: dict[str, str] = {}
    for given in listed("models", models):
        role = validate_model_name(given)
        model = model_map.get(role, role)
        if model in used:
            problem = "each model once"
            if role != used[model]:
                problem += f": {used[model]!r} and {role!r} are both {model!r}"
            raise InvalidOptionError("models", models, problem)
        used[model] = role
        branches[free_name(f"{name}.{model}", {name}, branches, taken)] = model
    if not branches:
        raise InvalidOptionError("models", models, "at least one model")
    return branches


def job_of_model(job: StepJob | JobOfModel, model: str) -> Any:
    """The job that asks one model. Raises InvalidArgumentError."""
    given: Any = job
    if isinstance(given, StepJob):
        return given
    name = getattr(given, "__name__", "job")
    if isinstance(given, FunctionWorker):
        expected = f"a function of the model: job=lambda model: {name}.new(model=model)"
    elif inspect.isclass(given):
        expected = f"a function of the model: job=lambda model: {name}(model=model)"
    elif callable(given):
        return given(model)
    else:
        expected = "a job, or a function that makes one for a model"
    raise InvalidArgumentError("job", given, expected)
