"""Typed calls for waits and events. Decides nothing: the schema does, in baton_decide_waits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID

from baton.core.jsonvalue import DEFAULT_LIMIT, decode, encode
from baton.store.borrowed import Fetches
from baton.store.following import follow
from baton.store.results import read_for_step
from baton.store.sql import Sql
from baton.store.store import Store
from baton.words.effects import Effects, SettledWait
from baton.words.rows import Announced, CancelledStep, NewWait, Outcome, WaitingStep

_MANY_WAIT_STEPS = 10_000


class Candidate(NamedTuple):
    """An event of a group's mailbox, with the group's schemas; both as JSON text."""

    name: str
    event_id: int
    payload: str
    payload_schema: str


class FoundGroup(NamedTuple):
    """A step, and its wait that has not ended, if there is one."""

    job_id: int
    group_id: int | None


class EndedGroup(NamedTuple):
    job_id: int
    wait_step: bool
    replay_key: str
    on_timeout: str
    step: str
    workflow_name: str | None
    seconds: float


class StoredWait(NamedTuple):
    """A wait that a step has come to before; `outcome` is JSON text, None while it lasts. `traces`
    are the span contexts of the senders of what it received, where somebody traces.
    """

    names: tuple[str, ...]
    need: int
    outcome: str | None
    traces: Sequence[str] = ()


class _Kind(IntEnum):
    FINISHED = 2
    RELEASED = 3
    SETTLED = 4
    FAILING = 6
    ACCEPTED = 8
    SKIPPED = 11


def decided(rows: Iterable[Any]) -> Effects:
    """The rows of a deciding function, by kind."""
    accepted: set[int] = set()
    completions: list[Announced] = []
    released: list[str] = []
    waits: list[SettledWait] = []
    failing: list[tuple[int, UUID]] = []
    cancelled: list[CancelledStep] = []
    for kind, number, data, workflow_id in rows:
        match kind:  # pyright: ignore[reportMatchNotExhaustive]
            case _Kind.FINISHED:
                completions.append(Announced(workflow_id, data))
            case _Kind.RELEASED:
                released.append(data)
            case _Kind.SETTLED:
                waits.append(settled_wait(data))
            case _Kind.FAILING:
                failing.append((number, workflow_id))
            case _Kind.ACCEPTED:
                accepted.add(number)
            case _Kind.SKIPPED:
                cancelled.append(skipped_step(data))
    return Effects(
        frozenset(accepted),
        completions,
        cancelled,
        released=released,
        waits=waits,
        failing=failing,
    )


def settled_wait(text: str) -> SettledWait:
    """A settled wait from its facts as JSON text."""
    row = json.loads(text)
    return SettledWait(
        UUID(row["workflow_id"]),
        row["workflow_name"],
        row["step"],
        row["job_id"],
        row["replay_key"],
        row["outcome"],
        row["seconds"],
    )


def skipped_step(text: str) -> CancelledStep:
    """A step that the schema skipped, from its facts as JSON text."""
    row = json.loads(text)
    return CancelledStep(
        job_id=row["job_id"],
        workflow_id=UUID(row["workflow_id"]),
        name=row["name"],
        worker=row["worker"],
        queue=row["queue"],
        args=row["args"],
        meta=row["meta"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        reason=row["reason"],
        dependency=None,
        dependency_state=None,
        model=row["model"],
        debug=row["debug"],
        skipped=True,
    )


def wait_json(wait: NewWait, **fields: object) -> str:
    """A wait as the schema's functions take it. What is JSON text already goes in as it is."""
    plain = {
        "replay_key": wait.replay_key,
        "names": wait.names,
        "need": wait.need,
        "timeout": wait.timeout,
        "until": None if wait.until is None else wait.until.astimezone(UTC).isoformat(),
        "on_timeout": wait.on_timeout.value,
        "correlation_key": wait.correlation_key,
        "prompt": wait.prompt,
        **fields,
    }
    texts = {"fallback": wait.fallback, "payload_schema": wait.payload_schema}
    given = "".join(f',"{name}":{text}' for name, text in texts.items() if text is not None)
    return encode(plain, what="the wait", limit=DEFAULT_LIMIT)[:-1] + given + "}"


async def insert_wait_steps(
    connection: Fetches, sql: Sql, wait_steps: Sequence[str], *, notify: bool
) -> None:
    """Write wait steps, as `wait_json` gives them, on a connection that may be a caller's."""
    for start in range(0, len(wait_steps), _MANY_WAIT_STEPS):
        chunk = f"[{','.join(wait_steps[start : start + _MANY_WAIT_STEPS])}]"
        await connection.fetch(sql("insert_wait_steps"), chunk, _flag(notify))


class Borrowed:
    """A caller's connection that runs named queries whose parameters and columns are text."""

    def __init__(self, connection: Fetches, sql: Sql) -> None:
        self._connection = connection
        self._sql = sql

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        return await self._connection.fetch(self._sql(query), *args)


async def send_event(
    database: Fetches,
    workflow_id: str,
    name: str,
    payload: str,
    dedupe_id: str | None,
    accepting: Sequence[int],
    refusing: Sequence[int],
    *,
    notify: bool,
    trace: str | None = None,
) -> list[tuple[str, str]]:
    """(result, data) as `baton_send` returns them; `accepting` and `refusing` are groups whose
    schemas were asked.
    """
    groups = [",".join(map(str, ids)) for ids in (accepting, refusing)]
    rows = await database.fetch(
        "send_event", workflow_id, name, payload, dedupe_id, *groups, _flag(notify), trace
    )
    return [(row[0], row[1]) for row in rows]


async def send_key_event(
    database: Fetches,
    key: str,
    name: str,
    payload: str,
    dedupe_id: str | None,
    schemas: str,
    delay: float,
    *,
    notify: bool,
    trace: str | None = None,
) -> tuple[str, str]:
    """(result, data) as `baton_send_key` returns them. `schemas` were asked; after `delay` seconds
    others finish what this process does not.
    """
    args = (key, name, payload, dedupe_id, schemas, repr(delay), _flag(notify), trace)
    (row,) = await database.fetch("send_key_event", *args)
    return row[0], row[1]


async def suspend_jobs(database: Store, outcomes: Sequence[Outcome], *, notify: bool) -> Effects:
    """Put the jobs of waiting steps to sleep, each fenced on its claim. Safe to repeat."""
    waits = [wait_json(o.wait) for o in outcomes if o.wait is not None]
    rows = await database.fetch(
        "suspend_jobs",
        [o.job_id for o in outcomes],
        [o.attempted_at for o in outcomes],
        waits,
        notify,
    )
    return decided(rows)


async def read_waits(
    database: Store, job_id: int, *, traced: bool = False
) -> dict[str, StoredWait]:
    """The waits a step has come to before, by replay key."""
    rows = await read_for_step(database, "read_waits", job_id, traced)
    return {
        row["replay_key"]: StoredWait(
            tuple(row["names"]), row["need"], row["outcome"], row["traces"] or ()
        )
        for row in rows
    }


async def read_memo(database: Store, job_id: int, key: str) -> str | None:
    rows = await read_for_step(database, "read_memo", job_id, key)
    return rows[0]["value"] if rows else None


async def write_memo(database: Store, job_id: int, key: str, workflow_id: UUID, value: str) -> str:
    """Note a value unless one is noted; returns the one that counts, as JSON text."""
    rows = await read_for_step(database, "write_memo", job_id, key, workflow_id, value)
    if rows:
        return rows[0]["value"]  # type: ignore[no-any-return]
    # Another run of the step noted one in the same instant, unseen by that statement.
    return await read_memo(database, job_id, key) or value


class WaitFilter(NamedTuple):
    """Which waits are asked for; None: all."""

    prompted: bool | None = None
    event: str | None = None
    correlation_key: str | None = None
    workflow_name: str | None = None


async def read_waiting(
    database: Store, workflow_id: UUID | None, wanted: WaitFilter, limit: int, after: int
) -> list[WaitingStep]:
    """Up to `limit` waits past the wait `after`, oldest first: in one workflow, or in all."""
    if workflow_id is None:
        rows = await follow(database, "read_waiting", limit, after, *wanted)
    else:
        rows = await database.read("read_waiting_of", limit, after, *wanted, workflow_id)
    return [
        WaitingStep(
            wait_id=row["id"],
            workflow_id=row["workflow_id"],
            workflow_name=row["workflow_name"],
            step=row["step"],
            replay_key=row["replay_key"],
            names=tuple(row["names"]),
            need=row["need"],
            received=tuple(row["received"]),
            correlation_key=row["correlation_key"],
            prompt=row["prompt"],
            payload_schema=None if row["payload_schema"] is None else decode(row["payload_schema"]),
            since=row["armed_at"].astimezone(UTC),
            deadline=None if row["deadline"] is None else row["deadline"].astimezone(UTC),
        )
        for row in rows
    ]


def _flag(value: bool) -> str:
    return "t" if value else "f"
