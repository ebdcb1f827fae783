"""Arguments of jobs: from values to JSON text and back, without loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from baton.core.jsonvalue import encode
from baton.words.errors import InvalidArgsError, NotStorableError
from baton.workflow.registry import WorkerSpec

M = TypeVar("M", bound=BaseModel)

ARGS_LIMIT: Final = 1_048_576
"""Largest arguments of a job, in bytes of JSON."""

# Stored by field name whatever aliases there are, so that what was written can be read.
ARGS_CONFIG = ConfigDict(
    extra="forbid", validate_by_name=True, validate_by_alias=True, protected_namespaces=()
)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A worker with checked arguments (JSON text), ready to become a step."""

    spec: WorkerSpec
    args: str


def new_job(spec: WorkerSpec, values: BaseModel) -> NewJob:
    """Encode arguments. Raises NotStorableError, also when they would be read back as something
    else.
    """
    if not type(values).model_fields:
        return NewJob(spec, "{}")
    what = f"the arguments of {spec.name}"
    try:
        plain = values.model_dump(mode="json", round_trip=True, warnings="error")
        text = encode(plain, what=what, limit=ARGS_LIMIT)
        again = decode_args(spec.name, type(values), text)
    except (PydanticSerializationError, InvalidArgsError, ValueError, TypeError) as error:
        raise NotStorableError(what, str(error)) from error
    for name in type(values).model_fields:
        given, read = getattr(values, name), getattr(again, name)
        if not _same(given, read):
            raise NotStorableError(
                what, f"{name} changes when it is read back from JSON: {given!r} becomes {read!r}"
            )
    return NewJob(spec, text)


def decode_args(worker: str, model: type[M], text: str) -> M:
    """Validated arguments. Raises InvalidArgsError."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise invalid_args(worker, text, error) from None


def invalid_args(
    worker: str, given: str | Mapping[str, Any], error: ValidationError
) -> InvalidArgsError:
    """What pydantic found wrong, as our error."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in found]
    return InvalidArgsError(worker, given, problems)


def _same(given: Any, read: Any) -> bool:
    kind: Any = given.__class__
    try:
        return bool(given == read or kind.__eq__ is object.__eq__)
    except Exception:
        # Values such as arrays cannot be compared as a whole: nothing is known against them.
        return True
