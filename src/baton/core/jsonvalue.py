"""The one JSON encoder and decoder: what it writes is stored by jsonb and read back equal.

Tuples come back as lists. What jsonb would refuse or change is refused here: NUL, lone surrogates,
NaN and the infinities, keys that are not text, integers past what Python reads back, values nested
too deep or too large.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NoReturn, TypeGuard, cast
from uuid import UUID

from pydantic import ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from baton.core import roundtrip
from baton.core.errortext import describe
from baton.words.argument_errors import NotStorableError, TooLargeError

DEFAULT_LIMIT = 1_048_576
"""Bytes of JSON a value may have unless said otherwise."""

HIGHEST_LIMIT = 33_554_432
"""The highest limit that has effect: jsonb takes up to 6 times the bytes of the text and allows
268,435,455, and past 16 million elements a server's parser needs more than it may allocate."""

MOST_LEVELS = 128
"""Levels of nesting allowed. Readers differ: pydantic stops at 200, Python at its stack's limit."""

_MOST_DIGITS = 4_300
_TOO_LARGE = 10**_MOST_DIGITS
# From here on repr() writes an exponent and no point: out of jsonb such a float comes as an int.
_WIDE = 1e16
_LEAVES = frozenset({type(None), bool, int, float, str})
_HOLDERS = (dict, list, tuple)
_LOSSLESS = frozenset({date, datetime, time, timedelta, UUID})
_PLAIN = _LEAVES.union(_HOLDERS)
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def encode(value: object, *, what: str, limit: int = DEFAULT_LIMIT, lossy: bool = False) -> str:
    """Strict JSON text of a value; `limit` in bytes of UTF-8, `what` names the value in errors.

    Takes what JSON has (a tuple is an array), and what pydantic can turn into it: models,
    dataclasses, dates, UUID, Decimal, enums, sets, paths. What its own type does not read back from
    this JSON is refused, unless `lossy`. Raises NotStorableError, or TooLargeError with a size that
    is a lower bound when the value is refused before it is written.
    """
    if value is None:
        return "null"
    try:
        text = _text(value, what, min(limit, HIGHEST_LIMIT), lossy)
    except NotStorableError:
        raise
    except Exception as error:
        kind, colon, message = describe(error, 500).partition("\n")[0].partition(": ")
        known = isinstance(error, PydanticSerializationError)
        raise NotStorableError(what, message if known else kind + colon + message) from error
    return text


def text_of(plain: Any) -> str:
    """JSON text of plain values that were read from JSON, of any size, which is not stored. Raises
    RecursionError.
    """
    return _encode(plain)


def decode(text: str) -> Any:
    """The value of strict JSON text. Raises ValueError for all else, too deep nesting included."""
    try:
        return _decode(text)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def _text(value: object, what: str, limit: int, lossy: bool = False) -> str:
    foreign, wide = _inspect(value, what, limit)
    if foreign:
        value = _plain(value, what, to_jsonable_python if lossy else _Written(what, limit))
        _, wide = _inspect(value, what, limit)
    text = "".join(_write(value, what)) if wide else _encode(value)
    if "\\u0000" in text and _NUL.search(text):
        raise NotStorableError(what, r"it contains a NUL character ('\x00')")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        problem = f"it contains a lone surrogate ({text[error.start]!a}), which is no text"
        raise NotStorableError(what, problem) from None
    if size > limit:
        raise TooLargeError(what, size, limit)
    return text


def _inspect(value: object, what: str, limit: int) -> tuple[bool, bool]:
    """Look through a value level by level before anything is built; the size is a lower bound.

    Returns whether it holds anything but exact JSON types, and whether it holds a wide float.
    """
    foreign = wide = False
    size = -1
    level: list[Any] = [(value,)]
    for _ in range(MOST_LEVELS + 1):
        deeper: list[Any] = []
        for holder in level:
            children: Collection[Any] = holder
            if _is_object(holder):
                size += _keys(holder, what)
                children = holder.values()
            kinds = set(map(type, children))
            size += 2 * len(children)
            if str in kinds:
                size += sum(len(child) + 1 for child in children if type(child) is str)
            if size > limit:
                raise TooLargeError(what, size, limit)
            if int in kinds:
                _check_integers(children, what)
            if float in kinds:
                wide = wide or _has_wide(children)
            if not kinds <= _LEAVES:
                deeper += [child for child in children if isinstance(child, _HOLDERS)]
                foreign = foreign or not kinds <= _PLAIN
        if not deeper:
            return foreign, wide
        level = deeper
    problem = f"it is nested deeper than {MOST_LEVELS} levels, or contains itself"
    raise NotStorableError(what, problem)


def _keys(holder: dict[Any, Any], what: str) -> int:
    size = 0
    for key in holder:
        if not isinstance(key, str):
            problem = (
                f"a dict has the key {roundtrip.shown(key, 60)} ({type(key).__name__}), not a text"
            )
            raise NotStorableError(what, problem)
        size += len(key) + 3
    return size


def _check_integers(children: Collection[Any], what: str) -> None:
    for child in children:
        if type(child) is int and not -_TOO_LARGE < child < _TOO_LARGE:
            problem = f"it contains an integer of more than {_MOST_DIGITS} digits"
            raise NotStorableError(what, problem)


def _has_wide(children: Collection[Any]) -> bool:
    return any(type(child) is float and not -_WIDE < child < _WIDE for child in children)


def _plain(value: object, what: str, foreign: Callable[[Any], Any]) -> Any:
    """The same value in exact JSON types; `_inspect` has bounded its depth, and `foreign` turns
    what JSON does not have into what it has.
    """
    kind = type(value)
    if kind in _LEAVES:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if _is_object(value):
        return {str.__str__(key): _plain(item, what, foreign) for key, item in value.items()}
    if _is_array(value):
        return [_plain(item, what, foreign) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        raise NotStorableError(
            what, "it contains bytes; decode them, or make them text with base64"
        )
    if isinstance(value, Iterator):
        raise NotStorableError(what, f"it contains a {kind.__name__}; collect it in a list")
    if isinstance(value, roundtrip.SECRETS):
        raise NotStorableError(what, roundtrip.HIDDEN)
    if kind in (set, frozenset):
        return [_plain(item, what, foreign) for item in _members(value)]
    return foreign(value)


class _Written:
    """Writes one foreign value, and reads it back to see that nothing is lost."""

    __slots__ = ("_limit", "_what")

    def __init__(self, what: str, limit: int) -> None:
        self._what = what
        self._limit = limit

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind in _LOSSLESS:
            return to_jsonable_python(value)
        try:
            plain = roundtrip.write(kind, value)
        except (PydanticUserError, NameError):
            return self._without_adapter(value)
        text = _text(plain, self._what, self._limit)
        try:
            again = roundtrip.read(kind, text)
        except ValidationError as error:
            raise NotStorableError(self._what, _unreadable(kind, error)) from error
        changed = roundtrip.change(value, again, self._encoded, plain)
        if changed is None:
            return plain
        raise NotStorableError(self._what, changed.of(kind.__name__))

    def _encoded(self, value: Any) -> str:
        return _text(value, self._what, self._limit)

    def _without_adapter(self, value: Any) -> Any:
        """A dataclass with types unknown to pydantic, field by field; all else as it comes."""
        if not is_dataclass(value) or isinstance(value, type):
            return to_jsonable_python(value)
        named = {f.name: getattr(value, f.name) for f in fields(value)}
        _inspect(named, self._what, self._limit)
        return _plain(named, self._what, self)


def _unreadable(kind: type, error: ValidationError) -> str:
    (found, *_) = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(map(str, (kind.__name__, *found["loc"])))
    return (
        f"{kind.__name__} does not read what it writes ({place}: {found['msg']}); return "
        "value.model_dump(mode='json') or another plain value if its readers want no more"
    )


def _write(value: Any, what: str) -> Iterator[str]:
    """JSON with floats written so that jsonb keeps them floats; slower, so only where needed."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotStorableError(what, f"it contains {value}, which JSON does not have")
        yield repr(value) if -_WIDE < value < _WIDE else f"{value:.1f}"
    elif _is_object(value):
        lead = "{"
        for key, item in value.items():
            yield f"{lead}{_encode(key)}:"
            yield from _write(item, what)
            lead = ","
        yield "}" if value else "{}"
    elif _is_array(value):
        lead = "["
        for item in value:
            yield lead
            yield from _write(item, what)
            lead = ","
        yield "]" if value else "[]"
    else:
        yield _encode(value)


def _is_object(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_array(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


def _members(value: Any) -> Collection[Any]:
    return cast("Collection[Any]", value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode
_decode = json.JSONDecoder(parse_constant=_refuse).decode
