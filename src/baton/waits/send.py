"""Events from outside: sent to one workflow, or by a key to all who wait with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from baton.core.checks import parse_workflow_id
from baton.core.jsonvalue import DEFAULT_LIMIT, HIGHEST_LIMIT, decode, encode
from baton.core.names import validate_event_name, validate_key
from baton.core.payload_schema import problems
from baton.runtime.tasks import to_the_end
from baton.settling.announce import emit_finished
from baton.settling.cascade_hooks import emit_step_ends
from baton.settling.wait_events import emit_settled_waits
from baton.store.ambient import EngineOrName, Instance, engine_name, named, wake
from baton.store.borrowed import CallersConnection, Fetches, borrowed
from baton.store.completions import parse_completion
from baton.store.faults import is_wrong_isolation
from baton.store.sql import Sql
from baton.store.store import Store, store_of
from baton.store.translating import translating_database_errors
from baton.store.waits import (
    Borrowed,
    send_event as send,
    send_key_event as send_by_key,
    settled_wait,
    skipped_step,
)
from baton.telemetry import seam
from baton.waits.spread import spread
from baton.words.argument_errors import InvalidArgumentError
from baton.words.database_errors import IsolationError
from baton.words.effects import Effects
from baton.words.events import EventReceived
from baton.words.rows import Announced
from baton.words.states import Delivery
from baton.words.wait_errors import InvalidPayloadError
from baton.words.workflow_errors import UnknownWorkflowError, WorkflowFinishedError

FINISH_AFTER = 5.0
"""Seconds after which others go on with an event sent by a key, if its sender has not finished."""

PATIENCE = 4
"""How often a sender tries again to reach waits whose workflows somebody has locked: for 0.3 s."""


IN_DOUBT = "; nobody knows whether it was sent: with a dedupe_id, send it again"


T = TypeVar("T")


class _Message(NamedTuple):
    """An event on its way; its payload is JSON text."""

    workflow_id: UUID | None
    correlation_key: str | None
    name: str
    payload: str
    dedupe_id: str | None
    notify: bool
    trace: str | None = None


class _Sent(NamedTuple):
    """What became of an event, how many waits took it, and what followed."""

    delivery: Delivery
    taken: int = 0
    effects: Effects = Effects()


async def send_event(
    workflow_id: UUID | str | None,
    name: str,
    payload: object = None,
    *,
    dedupe_id: str | None = None,
    correlation_key: str | None = None,
    engine: EngineOrName | None = None,
    conn: CallersConnection | None = None,
) -> Delivery:
    """Send an event to a workflow: `await send_event(workflow_id, "approved", {"by": "ada"})`.

    The oldest wait for its name takes it; one event is taken by one wait. An event that nobody
    waits for is kept, for a wait to come. `payload` is any JSON value of up to 1 MiB. With a
    `dedupe_id` the same event may be sent again, after a failure or by a webhook's own retries: it
    counts once per workflow (or correlation key) and name, and is a `duplicate` also when it, or
    anything else, has finished the workflow.

    With `correlation_key`, and None for the workflow, it goes to every wait that has this key, in
    any workflow; when there is none, the first that comes takes it.

    Without `conn` the transaction is our own; when its connection is lost nobody knows whether the
    event was sent, and the answer is an UnavailableError: with a `dedupe_id` send it again. `conn`
    joins the caller's transaction, as `insert` does: the event comes and goes with it, and the
    workflow stays locked until it ends. Sent by a key on `conn`, it is handed out by the engines
    after the commit, and the answer is `buffered`.

    Raises InvalidPayloadError when the waits for it have a `payload_type` that refuses it,
    UnknownWorkflowError, WorkflowFinishedError, IsolationError for a `conn` above READ COMMITTED,
    InvalidArgumentError, InvalidNameError, NotStorableError, NoEngineError, UnavailableError.
    """
    instance = named("send_event", engine, conn)
    message = _message(workflow_id, name, payload, dedupe_id, correlation_key, instance)
    engine = engine_name(instance)
    with seam.spanned(
        lambda tracer: tracer.send_event(
            engine, message.name, message.workflow_id, message.correlation_key
        )
    ) as span:
        if span is not None:
            message = message._replace(trace=span.trace)
        if conn is None and instance is not None:
            delivery = await to_the_end(_send_own(instance, message))
        else:
            sent = await _on(conn, instance, message)
            _emit(engine, message, sent)
            delivery = sent.delivery
        if span is not None:
            span.delivery = delivery
    return delivery


def _message(
    workflow_id: UUID | str | None,
    name: str,
    payload: object,
    dedupe_id: str | None,
    correlation_key: str | None,
    instance: Instance | None,
) -> _Message:
    if (workflow_id is None) == (correlation_key is None):
        raise InvalidArgumentError(
            "workflow_id",
            workflow_id,
            "either a workflow, send_event(workflow_id, name), or a correlation key, "
            "send_event(None, name, correlation_key='…')",
        )
    return _Message(
        None if workflow_id is None else parse_workflow_id(workflow_id),
        None if correlation_key is None else validate_key("correlation_key", correlation_key),
        validate_event_name(name),
        encode(payload, what=f"the payload of event {name!r}", limit=DEFAULT_LIMIT),
        None if dedupe_id is None else validate_key("dedupe id", dedupe_id),
        instance is None or instance.settings.notify,
    )


async def _on(conn: Any, instance: Instance | None, message: _Message) -> _Sent:
    sql = Sql() if instance is None else store_of(instance).sql
    async with _isolation(), borrowed(conn, sql) as connection:
        database = Borrowed(connection, sql)
        if message.correlation_key is None:
            return await _send(database, message)
        event_id, _ = await _record(database, message, 0.0)
        return _Sent(Delivery.DUPLICATE if event_id is None else Delivery.BUFFERED)


async def _send_own(instance: Instance, message: _Message) -> Delivery:
    sent = await _through(store_of(instance), message)
    wake(store_of(instance), sent.effects.released)
    _emit(store_of(instance).engine, message, sent)
    return sent.delivery


async def _through(database: Store, message: _Message) -> _Sent:
    with translating_database_errors("sending an event", IN_DOUBT):
        if message.correlation_key is None:
            return await _notifying(database, message, partial(_send, database))
        return await _send_to_all(database, message)


async def _notifying(
    database: Store, message: _Message, write: Callable[[_Message], Awaitable[T]]
) -> T:
    """Write a message, without its notification where the server has no room for one."""
    return await database.notifying(
        lambda notify: write(message._replace(notify=notify)), message.notify
    )


async def _send(database: Fetches, message: _Message) -> _Sent:
    accepting: list[int] = []
    refusing: list[int] = []
    while True:
        rows = await send(
            database,
            str(message.workflow_id),
            message.name,
            message.payload,
            message.dedupe_id,
            accepting,
            refusing,
            notify=message.notify,
            trace=message.trace,
        )
        result, data = rows[-1]
        if result != "check":
            return _sent(message, rows)
        wrong: list[str] = []
        candidates = decode(data)
        for candidate in candidates:
            found = problems(decode(message.payload), candidate["schema"], message.name)
            (refusing if found else accepting).append(candidate["group"])
            wrong = wrong or found
        if all(candidate["group"] in refusing for candidate in candidates):
            raise InvalidPayloadError(message.name, wrong)


def _sent(message: _Message, rows: Sequence[tuple[str, str]]) -> _Sent:
    result = rows[-1][0]
    if message.workflow_id is not None and result in ("unknown", "finished"):
        kind = UnknownWorkflowError if result == "unknown" else WorkflowFinishedError
        raise kind(message.workflow_id)
    delivery = Delivery(result)
    texts = [data for kind, data in rows if kind == "announced"]
    effects = Effects(
        completions=[Announced(parse_completion(text).workflow_id, text) for text in texts],
        cancelled=[skipped_step(data) for kind, data in rows if kind == "skipped"],
        released=[data for kind, data in rows if kind == "woken" and data],
        waits=[settled_wait(data) for kind, data in rows if kind == "wait"],
    )
    return _Sent(delivery, int(delivery in (Delivery.SETTLED, Delivery.DELIVERED)), effects)


async def _send_to_all(database: Store, message: _Message) -> _Sent:
    event_id, schemas = await _notifying(
        database, message, lambda message: _record(database, message, FINISH_AFTER)
    )
    if event_id is None:
        return _Sent(Delivery.DUPLICATE)
    done = await spread(database, event_id, schemas, notify=message.notify, patience=PATIENCE)
    delivery = Delivery.DELIVERED if done.received else Delivery.BUFFERED
    return _Sent(Delivery.SETTLED if done.settled else delivery, taken=done.received)


async def _record(
    database: Fetches, message: _Message, delay: float
) -> tuple[int | None, list[Any]]:
    """Write an event that is sent by a key; its id, None for a duplicate, and the schemas that were
    asked.
    """
    asked: list[Any] = []
    while True:
        result, data = await send_by_key(
            database,
            str(message.correlation_key),
            message.name,
            message.payload,
            message.dedupe_id,
            encode(asked, what="the schemas", limit=HIGHEST_LIMIT),
            delay,
            notify=message.notify,
            trace=message.trace,
        )
        if result != "check":
            return (None if result == "duplicate" else int(data)), asked
        for schema in decode(data):
            wrong = problems(decode(message.payload), schema, message.name)
            if wrong:
                raise InvalidPayloadError(message.name, wrong)
            asked.append(schema)


@asynccontextmanager
async def _isolation() -> AsyncGenerator[None, Any]:
    try:
        yield
    except Exception as error:
        if is_wrong_isolation(error):
            raise IsolationError("sending an event") from error
        raise


def _emit(engine: str | None, message: _Message, sent: _Sent) -> None:
    if seam.active:
        seam.emit(
            EventReceived(
                engine,
                message.workflow_id,
                message.correlation_key,
                message.name,
                sent.delivery,
                sent.taken,
            )
        )
    emit_settled_waits(engine, sent.effects.waits)
    emit_step_ends(engine, sent.effects.cancelled)
    emit_finished(engine, sent.effects.completions)
