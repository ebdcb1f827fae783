"""What a workflow is found by: its tags and its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baton.core.checks import listed
from baton.core.jsonvalue import encode
from baton.core.names import validate_tag
from baton.words.argument_errors import InvalidOptionError

MOST_TAGS = 32
"""Most tags of one workflow."""

ATTRIBUTES_LIMIT = 8_192
"""Most bytes of a workflow's attributes, as JSON."""


def checked_tags(given: Any) -> tuple[str, ...]:
    """Tags, each once; None for none. Raises InvalidOptionError, InvalidNameError."""
    if given is None:
        return ()
    tags = tuple(dict.fromkeys(validate_tag(tag) for tag in listed("tags", given)))
    if len(tags) > MOST_TAGS:
        raise InvalidOptionError("tags", given, f"at most {MOST_TAGS} tags, not {len(tags)}")
    return tags


def encoded_attributes(given: Any) -> str | None:
    """Attributes as JSON text, None for none. Raises InvalidOptionError, NotStorableError,
    TooLargeError.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        expected = "a mapping of texts to JSON values, such as {'tenant': 'acme'}"
        raise InvalidOptionError("attributes", given, expected)
    if not given:
        return None
    return encode(dict(given), what="the attributes of a workflow", limit=ATTRIBUTES_LIMIT)
