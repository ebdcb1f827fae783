"""Waits inside a step: its body is run again from the top, and meets what it waited for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload
from uuid import UUID

from pydantic import ValidationError

from baton.core import roundtrip
from baton.core.checks import Seconds, seconds
from baton.core.jsonvalue import HIGHEST_LIMIT, decode, encode
from baton.core.names import validate_key
from baton.core.waits import (
    Default,
    WaitCancelled,
    WaitEvents,
    WaitOutcome,
    WaitTimeout,
    Wanted,
    read_outcome,
    wanted_by_call,
)
from baton.steps.growth import Added
from baton.steps.wait_options import (
    EventsWaitOptions,
    TypedWaitOptions,
    WaitOptions,
    aware,
    new_wait,
    payload_types,
)
from baton.store.store import Store
from baton.store.waits import StoredWait, read_memo, read_waits, write_memo
from baton.telemetry import seam
from baton.words.argument_errors import InvalidArgumentError, InvalidOptionError
from baton.words.rows import NewWait
from baton.words.wait_errors import InvalidPayloadError, WaitMismatchError, WaitNotPossibleError

T = TypeVar("T")
D = TypeVar("D")
P = TypeVar("P")

MEMO_LIMIT = 1_048_576
_A_TIME = Wanted((), 1)


class Suspension(BaseException):
    """Ends the run of a step that waits. Not an Exception: code that handles errors must not catch
    it.
    """

    def __init__(self, wait: NewWait) -> None:
        super().__init__("this step waits; its body is run again when the wait is over")
        self.wait = wait


class Replay:
    """One run of a step's body, seen from its waits: what it has come to before."""

    __slots__ = (
        "_count",
        "_database",
        "_job_id",
        "_stored",
        "added",
        "step",
        "suspension",
        "workflow_id",
    )

    def __init__(
        self, database: Store, job_id: int, step: str | None, workflow_id: UUID | None
    ) -> None:
        self._database = database
        self._job_id = job_id
        self._count = 0
        self._stored: dict[str, StoredWait] | None = None
        self.step = step
        self.workflow_id = workflow_id
        self.suspension: Suspension | None = None
        self.added: Added | None = None

    def replay_key(self, given: str | None) -> str:
        """The replay key of the next wait: as given, or its place among the waits of the body."""
        if given is not None:
            key = validate_key("replay_key", given)
            if key.startswith("#"):
                raise InvalidOptionError("replay_key", given, "a key that does not begin with '#'")
            return key
        self._count += 1
        return f"#{self._count}"

    async def outcome(self, wait: NewWait) -> WaitEvents | WaitTimeout | WaitCancelled | Default:
        """How this wait ended. Raises Suspension while it has not, WaitMismatchError."""
        if self.workflow_id is None:
            raise WaitNotPossibleError(self.step, "it runs outside a workflow")
        if self.suspension is not None:
            raise self.suspension
        if self._stored is None:
            traced = seam.tracer is not None
            self._stored = await read_waits(self._database, self._job_id, traced=traced)
        found = self._stored.get(wait.replay_key)
        if found is not None and (set(found.names), found.need) != (set(wait.names), wait.need):
            given, stored = Wanted(wait.names, wait.need), Wanted(found.names, found.need)
            raise WaitMismatchError(self.step, wait.replay_key, str(given), str(stored))
        if found is None or found.outcome is None:
            # Another task of the body may have been first while this one read.
            if self.suspension is None:
                self.suspension = Suspension(wait)
            raise self.suspension
        if found.traces:
            seam.link_attempt(found.traces)
        return read_outcome(decode(found.outcome))

    async def memo(self, key: str, function: Callable[[], Any]) -> Any:
        """See `Step.memo`."""
        if self.workflow_id is None:
            raise WaitNotPossibleError(self.step, "it runs outside a workflow")
        key = validate_key("key", key)
        if not callable(function):
            if inspect.iscoroutine(function):
                function.close()
            expected = f"a function without parameters, not called: memo({key!r}, place_order)"
            raise InvalidArgumentError("function", function, expected)
        text = await read_memo(self._database, self._job_id, key)
        if text is None:
            value = function()
            if inspect.isawaitable(value):
                value = await value
            made = encode(value, what=f"the memo {key!r}", limit=MEMO_LIMIT)
            text = await write_memo(self._database, self._job_id, key, self.workflow_id, made)
        return decode(text)


class StepWaits:
    """The waits of a `Step`. A body that waits ends there: its slot is free and its attempt given
    back, and when the wait is over it is run again from the top. Then the same wait returns at
    once. So whatever stands before a wait happens again: put side effects into `memo`, other
    steps, or behind the wait. Waits are known by their order, or by a `replay_key`.

    Raises, all of them: InvalidOptionError, InvalidNameError; WaitMismatchError when the same
    replay key waited for other events before, in whatever order; WaitNotPossibleError outside a
    workflow.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        _replay: Replay

    @overload
    async def wait_any(
        self, *names: str, payload_type: type[P], **options: Unpack[TypedWaitOptions]
    ) -> WaitOutcome[P]: ...

    @overload
    async def wait_any(
        self, *names: str, payload_type: type[P], default: D, **options: Unpack[TypedWaitOptions]
    ) -> WaitEvents[P] | WaitCancelled | D: ...

    @overload
    async def wait_any(self, *names: str, **options: Unpack[EventsWaitOptions]) -> WaitOutcome: ...

    @overload
    async def wait_any(
        self, *names: str, default: D, **options: Unpack[EventsWaitOptions]
    ) -> WaitEvents | WaitCancelled | D: ...

    async def wait_any(self, *names: str, **options: Unpack[WaitOptions]) -> Any:
        """Wait for the first of these events. Returns WaitEvents, WaitTimeout (or the `default`),
        WaitCancelled.

        Options, of all waits for events: `timeout` (seconds or timedelta from when the wait is
        armed; without, it waits for ever), `default` (returned instead of a WaitTimeout),
        `replay_key` (tells this wait from others of its step), `correlation_key` (lets
        `send_event(None, name, correlation_key=…)` reach it), `prompt` (tells people what is asked
        of them), `payload_type` (the type of the payloads, or a mapping of event name to type).
        Payloads are validated as that type, those of a WaitTimeout too; what a mapping does not
        name, and all without `payload_type`, are plain JSON values. Raises InvalidPayloadError
        where a validator in Python refuses one.
        """
        return await self._wait(wanted_by_call("wait_any", names), options)

    @overload
    async def wait_all(
        self, *names: str, payload_type: type[P], **options: Unpack[TypedWaitOptions]
    ) -> WaitOutcome[P]: ...

    @overload
    async def wait_all(
        self, *names: str, payload_type: type[P], default: D, **options: Unpack[TypedWaitOptions]
    ) -> WaitEvents[P] | WaitCancelled | D: ...

    @overload
    async def wait_all(self, *names: str, **options: Unpack[EventsWaitOptions]) -> WaitOutcome: ...

    @overload
    async def wait_all(
        self, *names: str, default: D, **options: Unpack[EventsWaitOptions]
    ) -> WaitEvents | WaitCancelled | D: ...

    async def wait_all(self, *names: str, **options: Unpack[WaitOptions]) -> Any:
        """Wait for all of these events. Returns as `wait_any`."""
        return await self._wait(wanted_by_call("wait_all", names), options)

    @overload
    async def wait_n(
        self, count: int, *names: str, payload_type: type[P], **options: Unpack[TypedWaitOptions]
    ) -> WaitOutcome[P]: ...

    @overload
    async def wait_n(
        self,
        count: int,
        *names: str,
        payload_type: type[P],
        default: D,
        **options: Unpack[TypedWaitOptions],
    ) -> WaitEvents[P] | WaitCancelled | D: ...

    @overload
    async def wait_n(
        self, count: int, *names: str, **options: Unpack[EventsWaitOptions]
    ) -> WaitOutcome: ...

    @overload
    async def wait_n(
        self, count: int, *names: str, default: D, **options: Unpack[EventsWaitOptions]
    ) -> WaitEvents | WaitCancelled | D: ...

    async def wait_n(self, count: int, *names: str, **options: Unpack[WaitOptions]) -> Any:
        """Wait for as many of these events. Returns as `wait_any`."""
        return await self._wait(wanted_by_call("wait_n", names, count), options)

    @overload
    async def wait_for(
        self, name: str, *, payload_type: type[P], **options: Unpack[TypedWaitOptions]
    ) -> P | WaitTimeout[P] | WaitCancelled: ...

    @overload
    async def wait_for(
        self, name: str, *, payload_type: type[P], default: D, **options: Unpack[TypedWaitOptions]
    ) -> P | D | WaitCancelled: ...

    @overload
    async def wait_for(self, name: str, **options: Unpack[WaitOptions]) -> Any: ...

    async def wait_for(self, name: str, **options: Unpack[WaitOptions]) -> Any:
        """Wait for one event. Returns its payload, WaitTimeout (or `default`), WaitCancelled."""
        outcome = await self._wait(wanted_by_call("wait_for", [name]), options)
        return outcome[name] if isinstance(outcome, WaitEvents) else outcome

    async def sleep(
        self, duration: Seconds, *, replay_key: str | None = None
    ) -> WaitCancelled | None:
        """Sleep for a time, in seconds or as a timedelta, however often the process restarts.

        Returns WaitCancelled when `cancel_wait` ended it.
        """
        wait = new_wait(
            _A_TIME,
            {"timeout": seconds("duration", duration)},
            replay_key=self._replay.replay_key(replay_key),
        )
        return await self._sleep(wait)

    async def sleep_until(
        self, time: datetime, *, replay_key: str | None = None
    ) -> WaitCancelled | None:
        """As `sleep`, until a time that has a time zone; one that is past wakes at once."""
        wait = new_wait(
            _A_TIME, {}, replay_key=self._replay.replay_key(replay_key), until=aware("time", time)
        )
        return await self._sleep(wait)

    @overload
    async def memo(self, key: str, function: Callable[[], Awaitable[T]]) -> T: ...

    @overload
    async def memo(self, key: str, function: Callable[[], T]) -> T: ...

    async def memo(self, key: str, function: Callable[[], Any]) -> Any:
        """Call a function without parameters once, and remember what it returned: run again from
        the top, the body gets the remembered value.

        The function may be `async def`. The value is any JSON value and comes back as plain JSON
        values, in the first run too. Between the call and the remembering the process may die:
        then the function is called again.
        """
        return await self._replay.memo(key, function)

    async def _wait(self, wants: Wanted, options: WaitOptions) -> Any:
        key = self._replay.replay_key(options.get("replay_key"))
        wait = new_wait(wants, {**options}, replay_key=key)
        outcome = await self._replay.outcome(wait)
        if isinstance(outcome, Default):
            return outcome.value
        types = payload_types(options.get("payload_type"), wants.names)
        match outcome:
            case WaitEvents(events, missing) if types:
                return WaitEvents(_validated(events, types), missing)
            case WaitTimeout(received, missing) if types:
                return WaitTimeout(_validated(received, types), missing)
            case _:
                return outcome

    async def _sleep(self, wait: NewWait) -> WaitCancelled | None:
        outcome = await self._replay.outcome(wait)
        return outcome if isinstance(outcome, WaitCancelled) else None


def _validated(payloads: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    """Payloads by name, each as its type where it has one. Raises InvalidPayloadError."""
    return {
        name: _read(name, value, types[name]) if name in types else value
        for name, value in payloads.items()
    }


def _read(name: str, value: Any, payload_type: Any) -> Any:
    text = encode(value, what="the payload", limit=HIGHEST_LIMIT)
    try:
        return roundtrip.read(payload_type, text)
    except ValidationError as error:
        raise InvalidPayloadError(
            name,
            [f"{'.'.join(map(str, e['loc'])) or 'payload'}: {e['msg']}" for e in error.errors()],
        ) from error


WAITS = frozenset({"wait_any", "wait_all", "wait_n", "wait_for", "sleep", "sleep_until", "memo"})
"""The names of what only an async step has."""
