"""Hands an event that was sent by a key to all who wait with it, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from baton.core.answers import problems
from baton.core.jsonvalue import decode, encode
from baton.store.database import Database
from baton.store.waits import FIRST, Decided, read_event, spread_event
from baton.workflow.completion import tell_finished
from baton.workflow.waits.events import tell_waits

BATCH = 200
_SCHEMAS_LIMIT = 33_554_432


class Spread(NamedTuple):
    """How many waits took an event, and how many of them it settled."""

    received: int
    settled: int


async def spread(
    database: Database, event_id: int, schemas: Sequence[Any] | None = None, *, notify: bool
) -> Spread:
    """Hand an open event out until nobody is left. `schemas` are those it is known to satisfy;
    None: they are read and asked. Safe to repeat, and to do twice at once.
    """
    if schemas is None:
        schemas = await _fitting(database, event_id)
    asked = encode(list(schemas), what="the schemas", limit=_SCHEMAS_LIMIT)
    after: tuple[UUID, int] = (FIRST, 0)
    received = settled = 0
    while True:
        reply = await _batch(database, event_id, after, asked, notify)
        tell_waits(reply.waits)
        tell_finished(reply.completions)
        if reply.last is None:
            return Spread(received, settled)
        workflow_id, group_id, count = reply.last
        after = (workflow_id, group_id)
        received += count
        settled += len(reply.waits)


async def _batch(
    database: Database, event_id: int, after: tuple[UUID, int], schemas: str, notify: bool
) -> Decided:
    async def body() -> Decided:
        return await spread_event(database, event_id, after, schemas, BATCH, notify=notify)

    return await database.retrying(body, idempotent=True)


async def _fitting(database: Database, event_id: int) -> list[Any]:
    name, payload, texts = await read_event(database, event_id)
    value = decode(payload)
    return [schema for schema in map(decode, texts) if not problems(value, schema, name)]
