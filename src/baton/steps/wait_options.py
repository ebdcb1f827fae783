"""The options of waits: their types, their ranges, and the wait they make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ForwardRef, TypeAlias, TypedDict

from pydantic.errors import PydanticUserError

from baton.core.checks import Seconds, seconds
from baton.core.jsonvalue import encode
from baton.core.names import validate_event_name, validate_key
from baton.core.near_names import unknown_option
from baton.core.payload_schema import require
from baton.core.roundtrip import adapter
from baton.core.waits import UNSET, Wanted, wanted
from baton.words.argument_errors import InvalidOptionError
from baton.words.rows import NewWait
from baton.words.states import OnTimeout

PROMPT_LIMIT = 10_000
SCHEMA_LIMIT = 262_144
FALLBACK_LIMIT = 1_048_576

PayloadTypes: TypeAlias = Any
"""A type that pydantic can validate, or a mapping of event name to such a type."""


class TypedWaitOptions(TypedDict, total=False):
    """The options of a wait inside a step that leave the type of its outcome as it is."""

    timeout: Seconds | None
    replay_key: str | None
    correlation_key: str | None
    prompt: str | None


class EventsWaitOptions(TypedWaitOptions, total=False):
    """Those of a wait for several events."""

    payload_type: PayloadTypes


class WaitOptions(EventsWaitOptions, total=False):
    """Options of a wait inside a step.

    `timeout` counts from when the wait is armed, by the database's clock. `default` is returned
    instead of a WaitTimeout. `replay_key` tells this wait from others of its step.
    `correlation_key` lets `send_event(None, name, correlation_key=…)` reach it. `prompt` tells
    people what is asked of them; `payload_type` is the type of the payloads, or a mapping of
    event name to type.
    """

    default: Any


class WaitStepOptions(TypedDict, total=False):
    """Options of a wait step; see `Baton.wait`."""

    timeout: Seconds | None
    default: Any
    correlation_key: str | None
    prompt: str | None
    payload_type: PayloadTypes


WAIT_STEP_WORKER = "baton.wait"
WAIT_STEP_QUEUE = "baton_waits"
"""Where the jobs of wait steps stand. They are suspended until they settle: nobody claims them."""

_REF = "#/$defs/{model}"
_NAMES = tuple(WaitOptions.__annotations__)


def new_wait(
    wants: Wanted,
    options: Mapping[str, Any],
    *,
    replay_key: str = "",
    until: datetime | None = None,
    on_timeout: OnTimeout = OnTimeout.RESULT,
) -> NewWait:
    """The wait of checked options.

    Raises InvalidOptionError, InvalidNameError, NotStorableError.
    """
    for option, value in options.items():
        if option not in _NAMES:
            raise unknown_option(option, value, "a wait", _NAMES)
    timeout, default = options.get("timeout"), options.get("default", UNSET)
    correlation_key = options.get("correlation_key")
    return NewWait(
        names=wants.names,
        need=wants.need,
        replay_key=replay_key,
        timeout=None if timeout is None else seconds("timeout", timeout),
        until=until,
        on_timeout=on_timeout,
        fallback=None if default is UNSET else _fallback(default, timeout),
        correlation_key=None
        if correlation_key is None
        else validate_key("correlation_key", correlation_key),
        prompt=_prompt(options.get("prompt")),
        payload_schema=_payload_schema(options.get("payload_type"), wants.names),
    )


def new_wait_step(
    name: str, forms: Mapping[str, Any], on_timeout: object, options: Mapping[str, Any]
) -> NewWait:
    """The wait of a wait step, from its checked options; `forms` are those of `wanted`. Raises as
    `new_wait`, with the step's name.
    """
    try:
        return _new_wait_step(forms, on_timeout, options)
    except InvalidOptionError as error:
        subject = f"wait step {name!r}: {error.subject}"
        raise InvalidOptionError(
            error.option, error.given, error.expected, subject=subject
        ) from error.__cause__


def _new_wait_step(
    forms: Mapping[str, Any], on_timeout: object, options: Mapping[str, Any]
) -> NewWait:
    for option, value in options.items():
        if option not in WaitStepOptions.__annotations__:
            known = [*forms, "on_timeout", *WaitStepOptions.__annotations__]
            raise unknown_option(option, value, "a wait step", known)
    wants = wanted(**forms)
    try:
        ending = OnTimeout(str(on_timeout))
    except ValueError:
        raise InvalidOptionError(
            "on_timeout", on_timeout, "'result', 'cancel' or 'discard'"
        ) from None
    if ending is not OnTimeout.RESULT and options.get("timeout") is None:
        raise InvalidOptionError("on_timeout", on_timeout, "a timeout too")
    if ending is not OnTimeout.RESULT and "default" in options:
        raise InvalidOptionError("default", options["default"], "on_timeout='result' with it")
    return new_wait(wants, options, on_timeout=ending)


def payload_types(payload_type: PayloadTypes, names: tuple[str, ...]) -> dict[str, Any]:
    """The type of each event's payload, for those that have one. Raises InvalidOptionError."""
    if payload_type is None:
        return {}
    if not isinstance(payload_type, Mapping):
        return dict.fromkeys(names, payload_type)
    for name in payload_type:
        if validate_event_name(name) not in names:
            listed = ", ".join(map(repr, names))
            expected = f"only events of this wait: {listed}"
            raise InvalidOptionError("payload_type", payload_type, expected)
    return dict(payload_type)


def aware(option: str, given: object) -> datetime:
    """A datetime with a time zone, in UTC. Raises InvalidOptionError."""
    if not isinstance(given, datetime) or given.utcoffset() is None:
        raise InvalidOptionError(
            option, given, "a datetime with a time zone, such as datetime.now(UTC)"
        )
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise InvalidOptionError(option, given, "a datetime within the years 1 to 9999") from None


def _fallback(default: object, timeout: object) -> str:
    if timeout is None:
        raise InvalidOptionError("default", default, "a timeout too: without one it never counts")
    return f'{{"value":{encode(default, what="the default", limit=FALLBACK_LIMIT)}}}'


def _prompt(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > PROMPT_LIMIT or "\0" in given:
        raise InvalidOptionError("prompt", given, f"a text of at most {PROMPT_LIMIT} characters")
    if not given.isascii():
        encode(given, what="the prompt", limit=8 * PROMPT_LIMIT)
    return given


def _payload_schema(payload_type: PayloadTypes, names: tuple[str, ...]) -> str | None:
    if payload_type is None:
        return None
    chosen = payload_types(payload_type, names)
    if not chosen:
        return None
    for kind in chosen.values():
        _refuse_name(kind)
    require()
    one = not isinstance(payload_type, Mapping)
    schemas = (
        {"*": _schema(payload_type)} if one else {n: _schema(kind) for n, kind in chosen.items()}
    )
    return encode(schemas, what="the schema of the payload", limit=SCHEMA_LIMIT)


def _refuse_name(kind: Any) -> None:
    """Refuse the name of a type: pydantic would look for it among the names of this module."""
    if isinstance(kind, str | ForwardRef):
        name = kind if isinstance(kind, str) else kind.__forward_arg__
        expected = f"a type, not its name: payload_type={name}"
        raise InvalidOptionError("payload_type", kind, expected)


def _schema(kind: Any) -> Any:
    """The JSON schema of a type's payloads: by its aliases, as others send them, or by the names of
    its fields, as its own values are written.
    """
    try:
        by_alias = adapter(kind).json_schema(ref_template=_REF)
        by_name = adapter(kind).json_schema(ref_template=_REF, by_alias=False)
        if by_alias == by_name:
            return by_alias
        return {
            "anyOf": [
                adapter(kind).json_schema(
                    by_alias=aliases, ref_template=f"#/anyOf/{place}/$defs/{{model}}"
                )
                for place, aliases in enumerate((True, False))
            ]
        }
    except PydanticUserError as error:
        raise InvalidOptionError(
            "payload_type", kind, f"a type with a JSON schema ({error.message})"
        ) from error
