"""Whether a payload is what a JSON schema asks for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from baton.words.argument_errors import MissingExtraError

_validator: Any
try:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing import Registry
except ImportError:
    _validator = None
else:
    _validator = Draft202012Validator

MOST_PROBLEMS = 5


def require() -> None:
    """Raises MissingExtraError where payloads cannot be checked."""
    if _validator is None:
        raise MissingExtraError(
            "jsonschema", "a wait with a payload_type checks payloads by JSON schema"
        )


def problems(payload: object, schemas: Mapping[str, Any] | None, name: str) -> list[str]:
    """What is wrong with the payload of an event; empty when it may pass.

    `schemas` holds JSON schemas by the name of the event, or one for all under "*". Raises
    MissingExtraError.
    """
    schema = None if schemas is None else schemas.get(name, schemas.get("*"))
    if schema is None:
        return []
    require()
    # Without a registry of its own it would fetch what a schema refers to from the network.
    validator = _validator(schema, registry=Registry())
    found = list(islice(validator.iter_errors(payload), MOST_PROBLEMS))
    return [f"{_place(error)}: {error.message[:500]}" for error in map(_telling, found)]


def _telling(error: Any) -> Any:
    # Of a union's errors the one that came furthest says what was meant.
    return best_match([error]) or error


def _place(error: Any) -> str:
    return "".join(f"[{part!r}]" for part in error.absolute_path) or "payload"
