"""Jobs whose arguments hold references.

Idea: what a reference stands for is not known yet, so such an argument cannot be validated as a
whole. Everything beside the references is: the other arguments as always, and of an argument with
references in it what certainly is wrong. The rest is validated when the step is performed.

It begins where pydantic, or its serializer, has refused the arguments. So arguments without a
reference are not even looked through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from baton.core import roundtrip
from baton.core.annotations import NoPartError, cannot_fit, part, shown_type
from baton.core.jsonvalue import MOST_LEVELS, decode, encode
from baton.core.references import escaped, escaped_key, stored
from baton.steps.reference import Reference, annotation_of, place_of
from baton.words.argument_errors import NotStorableError
from baton.words.reference_errors import ReferenceTypeError

Path: TypeAlias = tuple[str | int, ...]
Found: TypeAlias = Mapping[Path, Reference]
"""References by where they stand in the arguments."""


def references_in(given: Mapping[str, Any]) -> dict[Path, Reference]:
    """The references in arguments, also where they stand too deep to be stored."""
    found: dict[Path, Reference] = {}
    _find(given, (), found, set(), set())
    return found


def _find(
    value: Any, at: Path, found: dict[Path, Reference], above: set[int], without: set[int]
) -> None:
    """Values may contain themselves (`above`), and one value may stand in many places: what is
    `without` references is looked through once.
    """
    if isinstance(value, Reference):
        found[at] = value
        return
    items, own = _items(value), id(value)
    if not items or own in above or own in without or len(at) > 2 * MOST_LEVELS:
        return
    above.add(own)
    before = len(found)
    for key, item in items:
        _find(item, (*at, key), found, above, without)
    above.remove(own)
    if len(found) == before:
        without.add(own)


def _items(value: Any) -> Sequence[tuple[str | int, Any]]:
    if isinstance(value, dict):
        named: Mapping[Any, Any] = value
        return list(named.items())
    if isinstance(value, list | tuple | set | frozenset):
        listed: Iterable[Any] = value
        return list(enumerate(listed))
    if isinstance(value, BaseModel):
        return [(n, value.__dict__[n]) for n in type(value).model_fields if n in value.__dict__]
    if is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in fields(value) if f.init]
    return ()


def certain_problems(
    given: Mapping[str, Any], found: Found, error: ValidationError
) -> Sequence[Any]:
    """Of what pydantic found wrong, what is wrong whatever the references stand for."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    open_arguments = {path[0] for path in found if _unknown(path, errors)}
    return [
        e
        for e in errors
        if _is_extra(e)
        or (
            not any(e["loc"][: len(path)] == path for path in found)
            and (not open_arguments.intersection(e["loc"][:1]) or _exists(given, e["loc"]))
        )
    ]


def _is_extra(e: Any) -> bool:
    """Whether the worker has no such argument at all."""
    return len(e["loc"]) == 1 and e["type"] == "extra_forbidden"


def _unknown(path: Path, errors: Iterable[Any]) -> bool:
    """Whether pydantic has looked at the reference at this path; names of types may stand in
    between where it tried several.
    """
    for e in errors:
        ahead = iter(e["loc"])
        if all(key in ahead for key in path):
            return True
    return False


def _exists(given: Any, loc: Path) -> bool:
    for key in loc:
        items = dict(_items(given))
        if key not in items:
            return False
        given = items[key]
    return True


def partial_values(
    worker: str, model: type[BaseModel], given: Mapping[str, Any], found: Found
) -> dict[str, Any]:
    """The values of a model's fields, those without references validated. Raises
    NotStorableError.
    """
    names = _names(model)
    held = {path[0] for path in found}
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = names.get(key)
        if name is None:
            raise NotStorableError(
                f"the arguments of {worker}", f"{key!r} is no field; beside references give names"
            )
        values[name] = value if key in held else _validated(model.model_fields[name], value)
    for name, field in model.model_fields.items():
        if name not in values:
            values[name] = field.get_default(call_default_factory=True, validated_data=values)
    return values


def fill(instance: BaseModel, values: Mapping[str, Any]) -> None:
    """Give an instance these values, without validation."""
    private = type(instance).__private_attributes__
    object.__setattr__(instance, "__dict__", dict(values))
    object.__setattr__(instance, "__pydantic_fields_set__", set(values))
    object.__setattr__(instance, "__pydantic_extra__", None)
    made = {name: attribute.get_default() for name, attribute in private.items()} or None
    object.__setattr__(instance, "__pydantic_private__", made)


def stored_arguments(what: str, values: BaseModel, found: Found) -> dict[str, Any]:
    """Arguments as plain JSON values with the references in it. Raises NotStorableError and what
    pydantic raises.
    """
    held = {str(path[0]) for path in found}
    written = values.model_dump(
        mode="json", by_alias=False, round_trip=True, warnings=False, exclude=held
    )
    plain = roundtrip.without_computed(values, written)
    for name, field in type(values).model_fields.items():
        if name not in held:
            _check_read_back(what, name, field, values, plain)
    whole: Mapping[str, Any] = values.__dict__
    return {
        name: _stored(value, f"the argument {name!r} of {what}")
        if name in held
        else escaped(plain[name])
        for name, value in whole.items()
        if name in held or name in plain
    }


def _stored(value: Any, what: str, depth: int = 0) -> Any:
    if isinstance(value, Reference):
        return stored(place_of(value))
    if depth > MOST_LEVELS:
        problem = f"it is nested deeper than {MOST_LEVELS} levels, or contains itself"
        raise NotStorableError(what, problem)
    if isinstance(value, dict):
        named: Mapping[Any, Any] = value
        for key in named:
            if not isinstance(key, str):
                problem = f"a dict has the key {roundtrip.shown(key, 60)}, not a text"
                raise NotStorableError(what, problem)
        return {escaped_key(key): _stored(item, what, depth + 1) for key, item in named.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_stored(item, what, depth + 1) for _, item in _items(value)]
    if references_in({"": value}):
        return {str(name): _stored(item, what, depth + 1) for name, item in _items(value)}
    return escaped(decode(encode(value, what=what)))


def _check_read_back(
    what: str, name: str, field: FieldInfo, values: BaseModel, plain: Mapping[str, Any]
) -> None:
    """Raises NotStorableError where a value would be read back as another one."""
    if name in plain:
        try:
            again = roundtrip.read(_kind(field), encode(plain[name], what=what))
        except NotStorableError:
            raise
        except Exception:
            # Only the worker's own validators read it, and they do when the step is performed.
            return
    else:
        # Excluded: its default is what would be read.
        again = field.get_default(call_default_factory=True, validated_data=dict(values.__dict__))
    changed = roundtrip.change(getattr(values, name), again, None)
    if changed is not None:
        raise NotStorableError(what, changed.of(name))


def _validated(field: FieldInfo, value: Any) -> Any:
    try:
        adapter: TypeAdapter[Any] = roundtrip.adapter(_kind(field))
        return adapter.validate_python(value, by_alias=True, by_name=True)
    except Exception:
        # The model has accepted it, by validators of its own.
        return value


def _kind(field: FieldInfo) -> Any:
    kind: Any = field.annotation
    return Annotated[(kind, *field.metadata)] if field.metadata else kind


def _names(model: type[BaseModel]) -> dict[str, str]:
    """The names of fields by what they may be given as."""
    names: dict[str, str] = {}
    for name, field in model.model_fields.items():
        for alias in (field.alias, field.validation_alias):
            if isinstance(alias, str):
                names[alias] = name
        names[name] = name
    return names


def check_types(worker: str, model: type[BaseModel], found: Found) -> None:
    """Raises ReferenceTypeError for a reference to what can never be what the argument takes."""
    names = _names(model)
    for path, given in found.items():
        _check_type(worker, model, names.get(str(path[0]), ""), path[1:], given)


def _check_type(
    worker: str, model: type[BaseModel], name: str, path: Path, reference: Reference
) -> None:
    field = model.model_fields.get(name)
    if field is None or _reads_anything(model, name):
        return
    taken: Any = _kind(field)
    try:
        for key in path:
            taken = part(taken, key, attribute=False).annotation
    except NoPartError:
        return
    given = annotation_of(reference)
    if cannot_fit(given, taken):
        argument = ".".join(map(str, (name, *path)))
        raise ReferenceTypeError(
            worker, argument, repr(reference), shown_type(given), shown_type(taken)
        )


def _reads_anything(model: type[BaseModel], name: str) -> bool:
    """Whether validators of the model may turn anything into what the field takes."""
    own = model.__pydantic_decorators__
    return (
        bool(own.model_validators)
        or bool(model.model_config.get("coerce_numbers_to_str"))
        or any({name, "*"} & set(v.info.fields) for v in own.field_validators.values())
    )
