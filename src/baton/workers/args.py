"""Arguments of jobs: from values to JSON text and back, without loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from baton.core import roundtrip
from baton.core.jsonvalue import decode, encode
from baton.core.references import escaped, filled, may_refer, places, substituted
from baton.steps.reference import Reference, check_edges, reference
from baton.steps.rules import Rules
from baton.steps.step_job import StepJob
from baton.steps.step_options import StepOptions
from baton.words.argument_errors import InvalidArgsError, NotStorableError
from baton.words.reference_errors import ReferenceUseError
from baton.words.rows import NewStep
from baton.workers.edges import (
    Found,
    certain_problems,
    check_types,
    fill,
    partial_values,
    references_in,
    stored_arguments,
)
from baton.workers.options import step_options
from baton.workers.registry import HasSpec, WorkerSpec, held_spec

if TYPE_CHECKING:
    # Written without its parameter, a job has a result of any type; see `baton.core.waits`.
    from typing_extensions import TypeVar as TypeVarWithDefault

    R_co = TypeVarWithDefault("R_co", covariant=True, default=Any)
else:
    R_co = TypeVar("R_co", covariant=True)

M = TypeVar("M", bound=BaseModel)

ARGS_LIMIT: Final = 1_048_576
"""Largest arguments of a job, in bytes of JSON."""

# Stored by field name whatever aliases there are, so that what was written can be read.
ARGS_CONFIG = ConfigDict(
    extra="forbid", validate_by_name=True, validate_by_alias=True, protected_namespaces=()
)


@dataclass(frozen=True, slots=True)
class NewJob(HasSpec, StepJob, Generic[R_co]):
    """A worker with checked arguments (JSON text), ready to become a step. `R_co` is the type of
    what the worker returns.
    """

    _spec: WorkerSpec
    args: str
    _references: tuple[Reference, ...] = field(default=(), repr=False)

    def _as_step(self, name: str, rules: Rules, options: StepOptions) -> NewStep:
        check_edges(name, self._references, rules.get("deps", ()))
        spec = held_spec(self)
        fields = {**spec.defaults, **step_options(options)} if options else spec.defaults
        return NewStep(name=name, worker=spec.name, args=self.args, **rules, **fields)


def references_of(job: StepJob) -> tuple[Reference, ...]:
    """The references in a job's arguments."""
    return job._references if isinstance(job, NewJob) else ()


def new_job(spec: WorkerSpec, values: BaseModel) -> NewJob:
    """Encode arguments. Raises NotStorableError, also when they would be read back as something
    else; ReferenceTypeError.
    """
    if not type(values).model_fields:
        return NewJob(spec, "{}")
    what = f"the arguments of {spec.name}"
    try:
        plain = values.model_dump(mode="json", by_alias=False, round_trip=True, warnings="error")
        text, again = _read_back(spec, values, plain, what)
    except (
        PydanticSerializationError,
        InvalidArgsError,
        ReferenceUseError,
        ValueError,
        TypeError,
    ) as error:
        found = references_in(values.__dict__)
        if found:
            return _with_references(spec, values, found, what)
        raise NotStorableError(what, str(error)) from error
    for name in type(values).model_fields:
        changed = roundtrip.change(getattr(values, name), getattr(again, name), None)
        if changed is not None:
            raise NotStorableError(what, changed.of(name))
    if may_refer(text):
        text = encode(escaped(decode(text)), what=what, limit=ARGS_LIMIT)
    return NewJob(spec, text)


def new_job_of(spec: WorkerSpec, given: Mapping[str, Any]) -> NewJob:
    """Validate and encode arguments. Raises InvalidArgsError, and as `new_job` does."""
    model = spec.args
    try:
        values = model(**given)
    except (ValidationError, ReferenceUseError) as error:
        values = model.__new__(model)
        fill_partially(spec.name, values, given, error)
    return new_job(spec, values)


def fill_partially(
    worker: str, instance: BaseModel, given: Mapping[str, Any], error: Exception
) -> None:
    """Give a model values that hold references, which is why it was refused with this error.
    Raises InvalidArgsError where there is another reason, ReferenceTypeError.
    """
    found = references_in(given)
    if isinstance(error, ValidationError):
        problems = certain_problems(given, found, error) if found else _errors(error)
        if problems:
            raise InvalidArgsError(worker, given, _told(problems)) from None
    elif not found:
        raise error
    check_types(worker, type(instance), found)
    values = partial_values(worker, type(instance), given, found)
    fill(instance, values)


def built_for_hook(spec: WorkerSpec, args: str) -> Any:
    """A worker with the arguments of a step that is never performed: for its hook. In the place of
    what a reference stands for is the reference. Raises InvalidArgsError.
    """
    if not may_refer(args):
        return spec.build(args)
    try:
        if not places(args):
            return spec.build(filled(args, partial(reference, None)))
        given = substituted(args, partial(reference, None))
        values = partial_values(spec.name, spec.args, given, references_in(given))
    except (ValueError, NotStorableError) as error:
        raise InvalidArgsError(spec.name, args, [str(error)]) from None
    instance = spec.args.__new__(spec.args)
    fill(instance, values)
    return instance


def _with_references(spec: WorkerSpec, values: BaseModel, found: Found, what: str) -> NewJob:
    check_types(spec.name, type(values), found)
    try:
        plain = stored_arguments(what, values, found)
    except (PydanticSerializationError, ReferenceUseError, ValueError, TypeError) as error:
        raise NotStorableError(what, str(error)) from error
    text = encode(plain, what=what, limit=ARGS_LIMIT)
    return NewJob(spec, text, tuple(found.values()))


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
    return InvalidArgsError(worker, given, _told(_errors(error)))


def _errors(error: ValidationError) -> Sequence[Any]:
    return error.errors(include_url=False, include_context=False, include_input=False)


def _told(errors: Iterable[Any]) -> list[str]:
    return [f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in errors]
