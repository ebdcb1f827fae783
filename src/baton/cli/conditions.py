"""How `--where` is read: conditions, all of which hold for a workflow that is acted on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NoReturn

from baton.cli.options import attribute_value, parse_time
from baton.cli.reporting import MISUSED, fail
from baton.core.jsonvalue import encode
from baton.core.near_names import nearest

Filter = dict[str, Any]
"""The arguments of `Engine.workflows`."""

_OPTIONS = {"state": "state", "name": "workflow_name", "since": "since", "until": "until"}
_TAG = "tag"
_ATTRIBUTE = "attributes."
_KEYS = (*_OPTIONS, _TAG)
_SLIPS = {"workflow_name": "name", "status": "state", "outcome": "state", "tags": _TAG}
_ATTRIBUTE_SLIPS = ("attributes", "attribute", "attr")
_EXPECTED = (
    "one each of state=failed, name=…, since=2h, until=2026-01-31T08:00, and any number of tag=… "
    "and attributes.KEY=VALUE"
)


def read_conditions(given: list[str]) -> Filter:
    """The filter that these conditions make together; ends the command where one is none."""
    chosen: Filter = {}
    tags: list[str] = []
    attributes: dict[str, Any] = {}
    for text in given:
        key, _, value = text.partition("=")
        name = key.removeprefix(_ATTRIBUTE)
        if not value:
            _refuse(text, None)
        elif key == _TAG:
            tags.append(value)
        elif name != key and name and name not in attributes:
            attributes[name] = attribute_value(value)
        elif key in _OPTIONS and _OPTIONS[key] not in chosen:
            chosen[_OPTIONS[key]] = _plain(text, key, value)
        else:
            _refuse(text, _meant(key, value))
    chosen |= {"tags": tags} if tags else {}
    chosen |= {"attributes": attributes} if attributes else {}
    return chosen


def _plain(text: str, key: str, value: str) -> Any:
    """The value of a condition that there is one of."""
    parts = value.split(",")
    keys = [part.partition("=")[0] for part in parts[1:]]
    if keys and all(one in _KEYS or one.startswith(_ATTRIBUTE) for one in keys):
        _refuse(text, [f"{key}={parts[0]}", *parts[1:]])
    return parse_time(f"--where {key}=", value) if key in ("since", "until") else value


def _meant(key: str, value: str) -> list[str] | None:
    """The conditions that were probably meant by one that is none."""
    if key in _SLIPS:
        return [f"{_SLIPS[key]}={value}"]
    head, _, name = key.partition(".")
    if head in _ATTRIBUTE_SLIPS:
        if name:
            return [f"{_ATTRIBUTE}{name}={value}"] if head != "attributes" else None
        found = attribute_value(value)
        if isinstance(found, Mapping):
            return [f"{_ATTRIBUTE}{one}={_text(found[one])}" for one in found] or None
        return [_ATTRIBUTE + value] if "=" in value else None
    if key in _OPTIONS or not key:
        return None
    return [f"{nearest(key, _KEYS) or _ATTRIBUTE + key}={value}"]


def _text(value: Any) -> str:
    if isinstance(value, str) and attribute_value(value) == value:
        return value
    return encode(value, what="the value")


def _refuse(text: str, meant: list[str] | None) -> NoReturn:
    if meant is None:
        fail(f"--where {text!r}: expected {_EXPECTED}", MISUSED)
    corrected = " ".join(f"--where {shlex.quote(one)}" for one in meant)
    fail(f"--where {text!r}: did you mean {corrected}?", MISUSED)
