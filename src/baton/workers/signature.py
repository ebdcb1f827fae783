"""Reads the signatures of workers, and tells what is wrong with them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter
from types import SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from baton.core.outcome import Request
from baton.steps.step import Step, SyncStep
from baton.words.worker_errors import WorkerError

_NAMED = (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def is_async(where: str, function: Callable[..., Any]) -> bool:
    """Whether the worker is `async def`. Raises WorkerError for generators, which have no one
    result.
    """
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise WorkerError(f"{where} is a generator; a step returns one value")
    return inspect.iscoroutinefunction(function)


def check_method(where: str, method: Callable[..., Any]) -> None:
    """Check `perform(self, step)` of a class. Raises WorkerError."""
    parameters = list(inspect.signature(method).parameters.values())
    required = [
        p.name
        for p in parameters[2:]
        if p.default is Parameter.empty
        and p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    ]
    if len(parameters) < 2 or required or any(p.kind not in _POSITIONAL for p in parameters[:2]):
        raise WorkerError(
            f"{where}{inspect.signature(method)} must take (self, step); "
            "the job's arguments are fields of the class"
        )
    _check_step(where, method, parameters[1])


def argument_fields(where: str, function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The arguments of a function `(step, *, url: str, …)` as (type, default) by name; the default
    is `...` where there is none. Raises WorkerError.
    """
    parameters = list(inspect.signature(function).parameters.values())
    shape = f"{where} must look like: async def {function.__name__}(step: Step, *, url: str, …)"
    if not parameters or parameters[0].kind not in _POSITIONAL:
        raise WorkerError(f"{shape}; its first parameter takes the step")
    if parameters[0].name in ("self", "cls"):
        raise WorkerError(
            f"{shape}; it is a method: move it out of the class, make it a @staticmethod without "
            f"{parameters[0].name!r} (@staticmethod above @worker), or derive the class from Worker"
        )
    _check_step(where, function, parameters[0])
    fields: dict[str, tuple[Any, Any]] = {}
    for parameter in parameters[1:]:
        name = parameter.name
        if parameter.kind not in _NAMED:
            raise WorkerError(
                f"{shape}; arguments are given by name, which {str(parameter)!r} cannot be"
            )
        if parameter.annotation is Parameter.empty:
            raise WorkerError(f"{shape}; {name!r} has no type")
        if name.startswith("_"):
            raise WorkerError(f"{shape}; {name!r} starts with an underscore")
        default = ... if parameter.default is Parameter.empty else parameter.default
        hint = _resolved(where, function, parameter)
        check_default(where, name, hint, default)
        fields[name] = (hint, default)
    return fields


def result_type(function: Callable[..., Any]) -> Any:
    """The type of a worker's results as it is annotated, without what a step asks for by returning
    it; Any where there is none, or it cannot be resolved.
    """
    written = inspect.unwrap(function)
    try:
        annotation = written.__annotations__.get("return", Any)
        holder = SimpleNamespace(__annotations__={"return": annotation})
        hint = get_type_hints(holder, globalns=written.__globals__, include_extras=True)["return"]
    except Exception:
        return Any
    if get_origin(hint) not in (Union, UnionType):
        return hint
    results = [m for m in get_args(hint) if not (isinstance(m, type) and issubclass(m, Request))]
    return Union[tuple(results)] if results else Any  # noqa: UP007 not known beforehand


def check_default(where: str, name: str, hint: Any, default: object) -> None:
    """Raises WorkerError for None as the default of a type that does not take it: no job could be
    made without the argument.
    """
    if default is not None:
        return
    try:
        TypeAdapter(hint).validate_python(None)
    except ValidationError:
        shown = getattr(hint, "__name__", hint)
        raise WorkerError(
            f"{where}: the default of {name!r} is None, which its type does not take: "
            f"{name}: {shown} | None = None"
        ) from None
    except Exception:
        # A type of which pydantic knows nothing by itself is judged where the model is made.
        return


def _check_step(where: str, function: Callable[..., Any], parameter: Parameter) -> None:
    try:
        hint = _resolved(where, function, parameter)
    except WorkerError:
        # Often imported for type checkers only.
        return
    wrong, right = (SyncStep, Step) if inspect.iscoroutinefunction(function) else (Step, SyncStep)
    if hint is wrong:
        kind = "an async" if right is Step else "a plain"
        raise WorkerError(
            f"{where} is {kind} function: its step is a {right.__name__}, not a {wrong.__name__}"
        )
    if isinstance(hint, type) and hint.__module__ == "builtins" and hint is not object:
        raise WorkerError(f"{where}: the first parameter takes the step, '{parameter}' does not")


def _resolved(where: str, function: Callable[..., Any], parameter: Parameter) -> Any:
    # One at a time: another parameter's type may be known to type checkers only.
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return get_type_hints(holder, globalns=scope, include_extras=True)[parameter.name]
    except Exception as error:
        raise WorkerError(
            f"{where}: the type of {parameter.name!r} cannot be resolved: {error}"
        ) from error
