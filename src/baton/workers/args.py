"""Arguments of jobs: from values to JSON text and back, without loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from baton.core import roundtrip
from baton.core.jsonvalue import encode
from baton.steps.rules import Rules
from baton.steps.step_job import StepJob
from baton.steps.step_options import StepOptions
from baton.words.argument_errors import InvalidArgsError, NotStorableError
from baton.words.rows import NewStep
from baton.workers.options import step_options
from baton.workers.registry import HasSpec, WorkerSpec, held_spec

M = TypeVar("M", bound=BaseModel)

ARGS_LIMIT: Final = 1_048_576
"""Largest arguments of a job, in bytes of JSON."""

# Stored by field name whatever aliases there are, so that what was written can be read.
ARGS_CONFIG = ConfigDict(
    extra="forbid", validate_by_name=True, validate_by_alias=True, protected_namespaces=()
)


@dataclass(frozen=True, slots=True)
class NewJob(HasSpec, StepJob):
    """A worker with checked arguments (JSON text), ready to become a step."""

    _spec: WorkerSpec
    args: str

    def _as_step(self, name: str, rules: Rules, options: StepOptions) -> NewStep:
        spec = held_spec(self)
        fields = {**spec.defaults, **step_options(options)} if options else spec.defaults
        return NewStep(name=name, worker=spec.name, args=self.args, **rules, **fields)


def new_job(spec: WorkerSpec, values: BaseModel) -> NewJob:
    """Encode arguments. Raises NotStorableError, also when they would be read back as something
    else.
    """
    if not type(values).model_fields:
        return NewJob(spec, "{}")
    what = f"the arguments of {spec.name}"
    try:
        plain = values.model_dump(mode="json", by_alias=False, round_trip=True, warnings="error")
        text, again = _read_back(spec, values, plain, what)
    except (PydanticSerializationError, InvalidArgsError, ValueError, TypeError) as error:
        raise NotStorableError(what, str(error)) from error
    for name in type(values).model_fields:
        changed = roundtrip.change(getattr(values, name), getattr(again, name), None)
        if changed is not None:
            raise NotStorableError(what, changed.of(name))
    return NewJob(spec, text)


def _read_back(spec: WorkerSpec, values: M, plain: Any, what: str) -> tuple[str, M]:
    text = encode(plain, what=what, limit=ARGS_LIMIT)
    try:
        return text, decode_args(spec.name, type(values), text)
    except InvalidArgsError:
        # The model's extra="forbid" reaches into dataclasses, which some versions of pydantic write
        # with the fields that their __init__ does not take.
        trimmed = encode(roundtrip.without_computed(values, plain), what=what, limit=ARGS_LIMIT)
        if trimmed == text:
            raise
        return trimmed, decode_args(spec.name, type(values), trimmed)


def decode_args(worker: str, model: type[M], text: str) -> M:
    """Validated arguments. Raises InvalidArgsError."""
    try:
        return model.model_validate_json(text, by_alias=True, by_name=True)
    except ValidationError as error:
        raise invalid_args(worker, text, error) from None


def invalid_args(
    worker: str, given: str | Mapping[str, Any], error: ValidationError
) -> InvalidArgsError:
    """What pydantic found wrong, as our error."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in found]
    return InvalidArgsError(worker, given, problems)
