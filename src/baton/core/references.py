"""References as they are stored in the arguments of a step.

The value of an argument, or a part of it, may be an object that refers to what is known only when
the step is performed:

    {"$result": "fetch", "path": "/words/0"}    the result of a dependency, or a part of it
    {"$input": "/customer"}                     the workflow's input, or a part of it

`path` is a JSON pointer (RFC 6901), "" or nothing for the whole. A key of the user's own data that
begins with `$` is stored with one `$` more, so that no data is taken for a reference.

Another kind of reference is one more entry of `_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from baton.core.jsonvalue import decode, text_of

RESULT: Final = "$result"
INPUT: Final = "$input"
_PATH: Final = "path"
_SIGN: Final = "$"


class Place(NamedTuple):
    """What a reference refers to: `kind` is RESULT, of the dependency `step`, or INPUT."""

    kind: str
    step: str | None
    path: tuple[str, ...]

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer."""
        return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in self.path)


Lookup: TypeAlias = Callable[[Place], Any]
"""The value of a place."""


def may_refer(text: str) -> bool:
    """Whether JSON text can hold a reference, or a key that is stored with one `$` more."""
    return '"$' in text


def stored(place: Place) -> dict[str, str]:
    """A place as it is stored."""
    if place.kind == INPUT:
        return {INPUT: place.pointer}
    reference = {RESULT: str(place.step)}
    return {**reference, _PATH: place.pointer} if place.path else reference


def escaped(plain: Any) -> Any:
    """Plain JSON values of a user, as they are stored among references."""
    if isinstance(plain, dict):
        return {escaped_key(key): escaped(item) for key, item in plain.items()}
    if isinstance(plain, list | tuple):
        return [escaped(item) for item in plain]
    return plain


def escaped_key(key: str) -> str:
    """A key of a user's object, as it is stored."""
    return _SIGN + key if key.startswith(_SIGN) else key


def places(text: str) -> list[Place]:
    """The places that stored arguments refer to, each once. Raises ValueError."""
    found: dict[Place, None] = {}

    def note(place: Place) -> None:
        found[place] = None

    substituted(text, note)
    return list(found)


def filled(text: str, lookup: Lookup) -> str:
    """Stored arguments with the values of what they refer to, as JSON text. Raises as
    `substituted` does.
    """
    try:
        return text_of(substituted(text, lookup))
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def substituted(text: str, lookup: Lookup) -> Any:
    """Stored arguments with what `lookup` gives in the place of references. Raises ValueError for
    what is no reference of ours, and what `lookup` raises.
    """
    try:
        return _filled(decode(text), lookup)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def _filled(value: Any, lookup: Lookup) -> Any:
    if isinstance(value, dict):
        return _filled_object(value, lookup)
    if isinstance(value, list):
        return [_filled(item, lookup) for item in value]
    return value


def _filled_object(value: Mapping[str, Any], lookup: Lookup) -> Any:
    read: dict[str, Any] = {}
    for key, item in value.items():
        if key.startswith(_SIGN):
            if not key.startswith(2 * _SIGN):
                return lookup(_place(key, value))
            key = key[1:]
        read[key] = _filled(item, lookup)
    return read


def _place(key: str, given: Mapping[str, Any]) -> Place:
    read = _KINDS.get(key)
    if read is None:
        known = ", ".join(_KINDS)
        raise ValueError(f"{key!r} is no reference that this version knows ({known})")
    return read(given)


def _result(given: Mapping[str, Any]) -> Place:
    step = given[RESULT]
    if not isinstance(step, str) or given.keys() - {RESULT, _PATH}:
        raise ValueError(f"{{{RESULT!r}: a step, {_PATH!r}: a JSON pointer}} is malformed")
    return Place(RESULT, step, _parsed(given.get(_PATH, "")))


def _input(given: Mapping[str, Any]) -> Place:
    if given.keys() - {INPUT}:
        raise ValueError(f"{{{INPUT!r}: a JSON pointer}} is malformed")
    return Place(INPUT, None, _parsed(given[INPUT]))


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Place]] = {RESULT: _result, INPUT: _input}


def _parsed(pointer: object) -> tuple[str, ...]:
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise ValueError(f"{pointer!r} is no JSON pointer, such as '/words/0'")
    parts = pointer.split("/")[1:]
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def described(value: Any, path: tuple[str, ...]) -> str:
    """Why there is nothing at a path of a value, and what there is."""
    for depth, part in enumerate(path):
        here = f"at '/{'/'.join(path[:depth])}'" if depth else "there"
        if isinstance(value, dict):
            if part in value:
                value = value[part]
                continue
            keys = ", ".join(repr(key) for key in list(value)[:10])
            more = ", …" if len(value) > 10 else ""
            return f"{here} is an object without {part!r} (it has {keys or 'nothing'}{more})"
        if isinstance(value, list):
            try:
                value = value[int(part)]
            except (ValueError, IndexError):
                return f"{here} is a list of {len(value)}, which has no {part!r}"
            continue
        kind = "null" if value is None else f"a {_TYPES.get(type(value), 'value')}"
        return f"{here} is {kind}, which has no {part!r}"
    return "the value is there"


_TYPES = {str: "text", bool: "truth value", int: "number", float: "number"}
