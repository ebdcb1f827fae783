"""Results of steps: how they are written and how they are read back with a type."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from baton.core import roundtrip
from baton.core.jsonvalue import decode, encode
from baton.words.step_errors import ResultTypeError
from baton.words.workflow_errors import InputTypeError

NULL_RESULT = '{"value":null}'


def encode_result(value: object, limit: int) -> str:
    """A result as it is stored, wrapped, so that a stored None differs from nothing stored.

    Raises NotStorableError or TooLargeError; `limit` is in bytes of JSON.
    """
    if value is None:
        return NULL_RESULT
    return f'{{"value":{encode(value, what="the result", limit=limit)}}}'


def typed_input(text: str, type: Any) -> Any:
    """A workflow's input as plain JSON values (`type` None) or validated as a type. Raises
    InputTypeError.
    """
    if type is None:
        return decode(text)
    try:
        return roundtrip.read(type, text)
    except ValidationError as error:
        raise InputTypeError(type, _problems(error)) from error


def typed(text: str, type: Any, *, step: str | None, dependency: str) -> Any:
    """A stored result as plain JSON values (`type` None) or validated as a type."""
    if type is None:
        return decode(text)
    try:
        return roundtrip.read(type, text)
    except ValidationError as error:
        raise ResultTypeError(step, dependency, type, _problems(error)) from error


def _problems(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors()]
