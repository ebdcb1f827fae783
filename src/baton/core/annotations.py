"""What type annotations say of JSON: the type of a part of a value, and whether values of one type
can ever be read as another.

Only what is certain is said: an annotation that is not known says nothing (Any).
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

from pydantic import BaseModel, RootModel

from baton.core.near_names import did_you_mean

_NONE = type(None)
_ARRAYS = (list, tuple, set, frozenset, Sequence, Set)
_NUMBERS = frozenset({"number"})
_TEXT = frozenset({"text"})
_TIMES = (date, datetime, time, timedelta)

Kinds = frozenset[str]
"""Kinds of JSON values: null, truth, number, text, array, object."""


class Part(NamedTuple):
    """A part of a value: its type, and its key in the value's JSON; None where it is the whole."""

    annotation: Any
    key: str | None


class NoPartError(Exception):
    """There is no such part; the text says what there is."""


def shown_type(annotation: Any) -> str:
    """An annotation for people."""
    name = getattr(annotation, "__name__", None)
    plain = isinstance(annotation, type) and not get_args(annotation)
    return str(name) if plain and name else str(annotation).replace("typing.", "")


def part(annotation: Any, key: str | int, *, attribute: bool) -> Part:
    """The part `value.key` (`attribute`) or `value[key]` of a value. Raises NoPartError where there
    certainly is none.
    """
    known = _bare(annotation)
    if _is_union(known):
        return _part_of_any([m for m in get_args(known) if m is not _NONE], key, attribute)
    named = _fields(known)
    if named is not None:
        return _field(known, named, str(key))
    origin = get_origin(known) or known
    if not isinstance(origin, type):
        return Part(Any, str(key))
    if issubclass(origin, Mapping):
        if attribute:
            raise NoPartError(f"a mapping has items, not attributes: take [{key!r}]")
        arguments = get_args(known)
        return Part(arguments[1] if len(arguments) == 2 else Any, str(key))
    if issubclass(origin, (str, bytes)) or not issubclass(origin, _ARRAYS):
        return _part_of_leaf(origin, key)
    if attribute or not isinstance(key, int):
        raise NoPartError(f"{shown_type(known)} is a list in JSON: take an item by its number")
    return Part(_item(origin, get_args(known), key), str(key))


def _part_of_any(members: Sequence[Any], key: str | int, attribute: bool) -> Part:
    found: list[Part] = []
    problem = NoPartError("null has no parts")
    for member in members:
        try:
            found.append(part(member, key, attribute=attribute))
        except NoPartError as error:
            problem = error
    if not found:
        raise problem
    if len({one.key for one in found}) > 1:
        return Part(Any, str(key))
    return found[0] if len(found) == 1 else Part(Any, found[0].key)


def _field(known: Any, named: Mapping[str, Any], name: str) -> Part:
    if isinstance(known, type) and issubclass(known, RootModel) and name == "root":
        return Part(named[name], None)
    if name in named:
        if _is_named_tuple(known):
            # Stored as an array.
            return Part(named[name], str(list(named).index(name)))
        return Part(named[name], name)
    if _is_named_tuple(known) and name.lstrip("-").isdigit():
        return Part(Any, name)
    if isinstance(known, type) and issubclass(known, RootModel):
        return Part(Any, name)
    if (
        isinstance(known, type)
        and issubclass(known, BaseModel)
        and (known.model_config.get("extra") == "allow")
    ):
        return Part(Any, name)
    has = ", ".join(named) or "none"
    near = did_you_mean(name, named)
    raise NoPartError(f"{shown_type(known)} has no field {name!r} (its fields: {has}){near}")


def _part_of_leaf(origin: type, key: str | int) -> Part:
    if issubclass(origin, (str, int, float, Enum, UUID, Decimal, PurePath, *_TIMES)):
        raise NoPartError(
            f"{shown_type(origin)} is a single value in JSON, which has no part {key!r}"
        )
    return Part(Any, str(key))


def _item(origin: type, arguments: Sequence[Any], index: int) -> Any:
    if not arguments:
        return Any
    if not issubclass(origin, tuple):
        return arguments[0]
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0]
    try:
        return arguments[index]
    except IndexError:
        raise NoPartError(f"a tuple of {len(arguments)} has no item {index}") from None


def cannot_fit(source: Any, target: Any) -> bool:
    """Whether no value of the type `source`, read from its JSON, is valid as `target`."""
    written, read = _written(source), _read(target)
    return written is not None and read is not None and not written & read


def _written(annotation: Any) -> Kinds | None:
    """The kinds of JSON that values of a type become; None where that is not known."""
    known = _bare(annotation)
    if _is_union(known):
        return _joined(map(_written, get_args(known)))
    if get_origin(known) is Literal:
        return _joined(_written(type(value)) for value in get_args(known))
    origin = get_origin(known) or known
    if origin is None or origin is _NONE:
        return frozenset({"null"})
    if not isinstance(origin, type):
        return None
    if issubclass(origin, Enum):
        return _joined(_written(type(member.value)) for member in origin)
    if issubclass(origin, BaseModel):
        if issubclass(origin, RootModel) or _decorated(origin, "model_serializers"):
            return None
        return frozenset({"object"})
    if issubclass(origin, bool):
        return frozenset({"truth"})
    if issubclass(origin, (int, float)):
        return _NUMBERS
    if issubclass(origin, (str, date, time, timedelta, UUID, PurePath)):
        return _TEXT
    if issubclass(origin, (list, tuple, set, frozenset)):
        return frozenset({"array"})
    if issubclass(origin, dict) or _is_typed_dict(origin) or _is_plain_dataclass(origin):
        return frozenset({"object"})
    return None


def _read(annotation: Any) -> Kinds | None:
    """The kinds of JSON that pydantic may read as a type, leniently; None for all."""
    known = _bare(annotation)
    if _is_union(known):
        return _joined(map(_read, get_args(known)))
    if get_origin(known) is Literal:
        found = _joined(_written(type(value)) for value in get_args(known))
        # True is 1.
        return found | {"number", "truth"} if found and found & {"number", "truth"} else found
    origin = get_origin(known) or known
    if origin is None or origin is _NONE:
        return frozenset({"null"})
    if not isinstance(origin, type):
        return None
    if issubclass(origin, BaseModel):
        if issubclass(origin, RootModel) or _decorated(origin, "model_validators"):
            return None
        return frozenset({"object"})
    if origin is str:
        return _TEXT
    if origin in (bool, int, float):
        return frozenset({"truth", "number", "text"})
    if origin in (date, datetime, time, timedelta):
        return frozenset({"number", "text"})
    if origin is UUID:
        return _TEXT
    if origin in (list, tuple, set, frozenset):
        return frozenset({"array"})
    if origin in (dict, Mapping) or _is_typed_dict(origin) or _is_plain_dataclass(origin):
        return frozenset({"object"})
    return None


def _joined(found: Iterable[Kinds | None]) -> Kinds | None:
    joined: Kinds = frozenset()
    for kinds in found:
        if kinds is None:
            return None
        joined |= kinds
    return joined


def _fields(known: Any) -> Mapping[str, Any] | None:
    """The types of the fields of a model, a dataclass, a TypedDict or a named tuple, by name."""
    origin = get_origin(known) or known
    if not isinstance(origin, type):
        return None
    if issubclass(origin, BaseModel):
        return {name: field.annotation for name, field in origin.model_fields.items()}
    if is_dataclass(origin):
        return _hinted(origin, [field.name for field in fields(origin)])
    if _is_typed_dict(origin):
        return _hinted(origin, list(origin.__annotations__))
    if _is_named_tuple(origin):
        return _hinted(origin, list(origin._fields))  # type: ignore[attr-defined]
    return None


def _hinted(known: type, names: Iterable[str]) -> dict[str, Any]:
    try:
        hints = get_type_hints(known)
    except Exception:
        hints = {}
    return {name: hints.get(name, Any) for name in names}


def _bare(annotation: Any) -> Any:
    """A type without what is said of it; Any where something may change how it is read."""
    for _ in range(20):
        if get_origin(annotation) is Annotated:
            annotation, *said = get_args(annotation)
            if not all(map(_only_narrows, said)):
                return Any
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):
            # `type X = …` of Python 3.12.
            annotation = annotation.__value__
        else:
            return annotation
    return Any


def _only_narrows(said: object) -> bool:
    """Whether this part of an Annotated is a comment, or a limit such as Gt."""
    return isinstance(said, str) or type(said).__module__.partition(".")[0] == "annotated_types"


def _decorated(model: type[BaseModel], kind: str) -> bool:
    return bool(getattr(model.__pydantic_decorators__, kind)) or (
        "__get_pydantic_core_schema__" in _defined_below(model)
    )


def _defined_below(model: type[BaseModel]) -> set[str]:
    mine = model.__mro__[: model.__mro__.index(BaseModel)]
    return {name for base in mine for name in vars(base)}


def _is_union(known: Any) -> bool:
    return get_origin(known) in (Union, types.UnionType)


def _is_named_tuple(known: Any) -> bool:
    return isinstance(known, type) and issubclass(known, tuple) and hasattr(known, "_fields")


def _is_typed_dict(known: type) -> bool:
    # That of `typing_extensions` is another one, for older Pythons.
    return issubclass(known, dict) and hasattr(known, "__required_keys__")


def _is_plain_dataclass(known: type) -> bool:
    return is_dataclass(known) and not hasattr(known, "__pydantic_decorators__")
