"""Inserts workflows: through an engine's own connection, or as part of the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from opentelemetry import propagate

from baton.handles.draft import Draft, HasDraft, draft_of
from baton.runtime.tasks import to_the_end
from baton.store.ambient import EngineOrName, Instance, engine_name, named
from baton.store.borrowed import CallersConnection, borrowed
from baton.store.insertion import insert_on, insert_through
from baton.store.sql import Sql
from baton.store.store import store_of
from baton.telemetry import seam
from baton.telemetry.insertions import emit_inserted
from baton.words.argument_errors import InvalidArgumentError
from baton.words.rows import Job, NewWorkflow

_log = logging.getLogger("baton")


async def insert_all(
    workflows: Iterable[HasDraft],
    *,
    engine: EngineOrName | None = None,
    conn: CallersConnection | None = None,
) -> list[Job]:
    """Insert any number of workflows in one transaction, all or none; returns all their jobs in
    order.

    Without `conn` the transaction is our own, on the pool of `engine` (an Engine, the name of a
    running one, or None for the ambient one), and it is repeated where that is safe, also when the
    connection was lost.

    `conn` joins the caller's transaction: an asyncpg connection, one of a pool, or a SQLAlchemy
    AsyncSession or AsyncConnection over asyncpg. The rows come and go with that transaction; if we
    fail, it stays usable. With none open, one is opened and committed. Then `engine` only tells the
    schema; with no engine running at all that is "baton". Failures of the database stay what the
    driver raises, so that the caller can retry.

    A builder takes no more steps while it is inserted and once it was, also where the caller's
    transaction was rolled back: then it may be inserted again as it is.

    Everything is checked before anything is written: raises GraphError, InvalidArgumentError,
    NoEngineError, EngineStateError, ConnectionTypeError; then WorkflowExistsError,
    SchemaMissingError, MissingRightError, UnavailableError, DatabaseError.
    """
    drafts = _drafts(workflows)
    prepared = _prepared(drafts)
    instance = named("insert", engine, conn)
    if not prepared:
        return []
    for draft in drafts:
        draft.seal(instance)
    with seam.spanned(lambda tracer: tracer.insert(engine_name(instance), prepared)):
        context = _trace_context()
        if context:
            prepared = [replace(workflow, trace_context=context) for workflow in prepared]
        work = _insert(drafts, prepared, instance, conn)
        return await (to_the_end(work) if conn is None else work)


def _drafts(workflows: Any) -> list[Draft]:
    expected = "a list of workflows, such as insert_all([Baton().add(…), …])"
    if not isinstance(workflows, Iterable):
        raise InvalidArgumentError("workflows", workflows, expected)
    builders: list[Any] = list(workflows)
    for builder in builders:
        if not isinstance(builder, HasDraft):
            raise InvalidArgumentError("workflows", builder, expected)
    return [draft_of(builder) for builder in builders]


def _prepared(drafts: Sequence[Draft]) -> list[NewWorkflow]:
    prepared = [draft.prepared() for draft in drafts]
    if len({workflow.workflow_id for workflow in prepared}) < len(prepared):
        raise InvalidArgumentError(
            "workflows",
            [workflow.workflow_id for workflow in prepared],
            "each workflow once, under its own workflow_id",
        )
    return prepared


async def _insert(
    drafts: Sequence[Draft],
    prepared: Sequence[NewWorkflow],
    instance: Instance | None,
    conn: object,
) -> list[Job]:
    try:
        if conn is None and instance is not None:
            write = partial(insert_through, store_of(instance), prepared)
            jobs = await store_of(instance).notifications.send(write, instance.settings.notify)
        else:
            jobs = await _insert_borrowing(prepared, instance, conn)
    except BaseException:
        for draft in drafts:
            draft.unseal()
        raise
    emit_inserted(engine_name(instance), prepared)
    return jobs


async def _insert_borrowing(
    prepared: Sequence[NewWorkflow], instance: Instance | None, conn: object
) -> list[Job]:
    notify = instance is None or instance.settings.notify
    sql = Sql() if instance is None else store_of(instance).sql
    async with borrowed(conn, sql) as connection:
        return await insert_on(connection, sql, prepared, notify=notify)


def _trace_context() -> dict[str, str]:
    carrier: dict[str, str] = {}
    try:
        propagate.inject(carrier)
        return {str(key): str(value) for key, value in carrier.items()}
    except Exception:
        _log.exception("the trace context could not be taken along")
        return {}
