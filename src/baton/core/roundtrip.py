"""What pydantic writes of a value, and whether it is read back as the same value.

Models are written by the names of their fields, without computed ones, and read by names and
aliases: so every model reads what it has written. What its type does not read back is found by
comparing: secrets become asterisks, fields of a subclass vanish behind a field of its base class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import BaseModel, Secret, SecretBytes, SecretStr, TypeAdapter

SECRETS = (SecretStr, SecretBytes, Secret)
HIDDEN = "it contains a secret, of which only asterisks would be stored"

_MISSING = object()


class Change(NamedTuple):
    """Where a value changes when it is read back, and how. `secret`: because it holds a secret."""

    place: str
    given: Any
    read: Any
    secret: bool

    def of(self, whole: str) -> str:
        """What is wrong with a value called `whole`."""
        place = whole + ("" if self.place[:1] in ("", "[") else ".") + self.place
        if self.secret:
            return f"{HIDDEN} ({place})"
        return (
            f"{place} changes when it is read back from JSON: {shown(self.given)} becomes "
            f"{shown(self.read)}"
        )


def shown(value: object, most: int = 200) -> str:
    """A value for people, cut to a length, whatever its `repr` does."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__} whose repr raises>"
    return text if len(text) <= most else text[: most - 1] + "…"


def adapter(kind: Any) -> TypeAdapter[Any]:
    """What reads and writes values of a type; made once, for all but unhashable types."""
    try:
        return _adapter(kind)
    except TypeError:
        try:
            hash(kind)
        except TypeError:
            return TypeAdapter(kind)
        raise


def write(kind: Any, value: object) -> Any:
    """The plain JSON of a value."""
    return adapter(kind).dump_python(
        value, mode="json", by_alias=False, round_trip=True, warnings=False
    )


def read(kind: Any, text: str) -> Any:
    """A value of a type from JSON text. Raises pydantic's ValidationError."""
    return adapter(kind).validate_json(text, by_alias=True, by_name=True)


def change(
    given: Any, again: Any, encoded: Callable[[Any], str] | None, written: Any = _MISSING
) -> Change | None:
    """The first difference between a value and what was read back; None when there is none.

    With `encoded`, which gives the JSON of a value, nothing changes where a place without a type
    (Any, object) holds the JSON of the value, or where `written`, the plain JSON that was stored,
    holds everything of it.
    """
    return _change("", given, again, encoded, written)


def without_computed(given: Any, written: Any) -> Any:
    """Plain JSON without what dataclasses compute (`field(init=False)`) and do not accept."""
    if isinstance(written, dict):
        if is_dataclass(given) and not isinstance(given, type):
            computed = {f.name for f in fields(given) if not f.init}
            written = {name: value for name, value in written.items() if name not in computed}
        return {name: without_computed(_part(given, name), v) for name, v in written.items()}
    if isinstance(written, list) and isinstance(given, list | tuple):
        return [without_computed(*pair) for pair in zip(given, written, strict=False)]
    return written


@lru_cache(maxsize=512)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _change(
    place: str, given: Any, again: Any, encoded: Callable[[Any], str] | None, written: Any
) -> Change | None:
    if _equal(given, again):
        return None
    if isinstance(given, SECRETS):
        return Change(place, given, again, True)
    if _holds_all(given, again, encoded, written):
        return None
    if type(given) is type(again) or any(
        isinstance(given, kind) and isinstance(again, kind) for kind in (dict, list)
    ):
        parts = _parts(given, again, encoded is None)
        if parts is not None:
            found = (
                _change(_join(place, name), one, other, encoded, _part(written, name))
                for name, one, other in parts
            )
            return next(filter(None, found), None)
        equals: Any = type(given).__eq__
        if equals is object.__eq__:
            # It cannot be compared: nothing is known against it.
            return None
    return Change(place, given, again, False)


def _equal(given: Any, again: Any) -> bool:
    if given is again:
        return True
    if isinstance(given, datetime) and isinstance(again, datetime):
        return _same_moment(given, again)
    if isinstance(given, float) and isinstance(again, float) and math.isnan(given):
        return math.isnan(again)
    try:
        return bool(given == again)
    except Exception:
        # Arrays, for instance, cannot be compared as a whole: nothing is known against them. What
        # has parts is compared part by part.
        parted = isinstance(given, BaseModel | dict | list | tuple) or is_dataclass(given)
        return type(given) is type(again) and not parted


def _same_moment(given: datetime, again: datetime) -> bool:
    if given == again:
        return True
    if given.utcoffset() is None or again.utcoffset() is None:
        return False
    try:
        # Between zones, times whose offset depends on `fold` are never equal.
        return given.astimezone(UTC) == again.astimezone(UTC)
    except OverflowError:
        return False


def _holds_all(given: Any, again: Any, encoded: Callable[[Any], str] | None, written: Any) -> bool:
    """Whether the JSON that was stored, which is read back as plain JSON or as a value of a base
    class, is all that there is of the value.
    """
    if encoded is None:
        return False
    if type(again) in (str, int, float, bool, dict, list):
        stored = again
    elif written is not _MISSING and type(again) in type(given).__mro__[1:]:
        stored = written
    else:
        return False
    try:
        return encoded(given) == encoded(stored)
    except Exception:
        return False


def _parts(given: Any, again: Any, strict: bool) -> list[tuple[str | int, Any, Any]] | None:
    """The named parts of two values of one type, side by side; None when it has none."""
    if isinstance(given, BaseModel):
        return list(_fields_of_model(given, again, strict))
    if is_dataclass(given):
        names = [f.name for f in fields(given) if f.compare]
        return [(n, getattr(given, n, None), getattr(again, n, None)) for n in names]
    if isinstance(given, dict) and given.keys() == again.keys():
        return [(key, value, again[key]) for key, value in given.items()]
    if isinstance(given, list | tuple) and len(given) == len(again):
        return [(i, *pair) for i, pair in enumerate(zip(given, again, strict=True))]
    return None


def _fields_of_model(
    given: BaseModel, again: BaseModel, strict: bool
) -> Iterator[tuple[str, Any, Any]]:
    for name, field in type(given).model_fields.items():
        # A field that is excluded on purpose is not read back; an argument has to be.
        if strict or not field.exclude:
            yield name, getattr(given, name, None), getattr(again, name, None)
    extra: Mapping[str, Any] = given.model_extra or {}
    for name, value in extra.items():
        yield name, value, (again.model_extra or {}).get(name)


def _part(whole: Any, name: str | int) -> Any:
    if isinstance(whole, BaseModel) or is_dataclass(whole):
        return getattr(whole, str(name), _MISSING)
    try:
        return whole[name]
    except (KeyError, IndexError, TypeError):
        return _MISSING


def _join(place: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{place}[{name}]"
    return f"{place}.{name}" if place else str(name)
