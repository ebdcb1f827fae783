"""What a name may be. Every script is allowed; look-alikes and the invisible are not."""

from __future__ import annotations

import unicodedata
from collections.abc import Container

from baton.words.argument_errors import InvalidNameError

STEP_LIMIT = 255
"""Most characters of a step's name, a workflow's name and a tag."""

QUEUE_LIMIT = 127
"""Most characters of a queue's and a worker's name: the job table allows no more."""

_REFUSED = {
    "Cc": "control characters",
    "Cf": "invisible format characters (zero-width, direction marks)",
    "Cs": "lone surrogates",
    "Zl": "line separators",
    "Zp": "paragraph separators",
}


def validate_step_name(given: object) -> str:
    """The name of a step or of a dependency: 1 to 255 characters. Raises InvalidNameError."""
    return _checked("step name", given, STEP_LIMIT)


def validate_workflow_name(given: object) -> str:
    """The name of a workflow: 1 to 255 characters. Raises InvalidNameError."""
    return _checked("workflow name", given, STEP_LIMIT)


def validate_queue_name(given: object) -> str:
    """The name of a queue: 1 to 127 characters. Raises InvalidNameError."""
    return _checked("queue name", given, QUEUE_LIMIT)


def validate_worker_name(given: object) -> str:
    """The name a worker is registered under: 1 to 127 characters. Raises InvalidNameError."""
    return _checked("worker name", given, QUEUE_LIMIT)


def validate_tag(given: object) -> str:
    """One tag: 1 to 255 characters. Raises InvalidNameError."""
    return _checked("tag", given, STEP_LIMIT)


def validate_model_name(given: object) -> str:
    """The name of a model: 1 to 255 characters. Raises InvalidNameError."""
    return _checked("model name", given, STEP_LIMIT)


def validate_provider_name(given: object) -> str:
    """The name of a model's provider: 1 to 255 characters. Raises InvalidNameError."""
    return _checked("provider name", given, STEP_LIMIT)


def validate_label(given: object) -> str:
    """The label of something captured: 1 to 255 characters. Raises InvalidNameError."""
    return _checked("label", given, STEP_LIMIT)


def free_name(wanted: str, *taken: Container[str]) -> str:
    """A step name like `wanted` that is not taken: cut to what a name may be long, and numbered
    where it must be.
    """
    name = wanted[:STEP_LIMIT].rstrip()
    number = 1
    while any(name in names for names in taken):
        number += 1
        suffix = f"~{number}"
        name = wanted[: STEP_LIMIT - len(suffix)].rstrip() + suffix
    return name


def validate_event_name(given: object) -> str:
    """The name of an event: 1 to 255 characters. Raises InvalidNameError."""
    return _checked("event name", given, STEP_LIMIT)


def validate_key(kind: str, given: object) -> str:
    """A key that a wait or an event is given: 1 to 255 characters. Raises InvalidNameError."""
    return _checked(kind, given, STEP_LIMIT)


def _checked(kind: str, given: object, limit: int) -> str:
    if not isinstance(given, str):
        raise InvalidNameError(kind, given, f"a text, not {type(given).__name__}")
    name = str.__str__(given)
    if not 0 < len(name) <= limit:
        raise InvalidNameError(kind, given, f"1 to {limit} characters, not {len(name)}")
    if name != name.strip():
        raise InvalidNameError(kind, given, "no white space at its ends")
    if name.isascii() and name.isprintable():
        return name
    for character in name:
        refused = _REFUSED.get(unicodedata.category(character))
        if refused:
            raise InvalidNameError(kind, given, f"no {refused}, here {character!a}")
    if not unicodedata.is_normalized("NFC", name):
        composed = unicodedata.normalize("NFC", name)
        raise InvalidNameError(
            kind,
            given,
            f"NFC-normalised text: {composed!a}, not {name!a}, which looks the same "
            "and is another name; use unicodedata.normalize('NFC', name)",
        )
    return name
