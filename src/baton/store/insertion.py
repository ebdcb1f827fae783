"""Writes whole workflows: one statement for the workflows, then steps in chunks.

Everything crosses the connection as text, so that a caller's codecs cannot matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from baton.core.jsonvalue import encode
from baton.core.plan import NEW, Among, plan
from baton.store.borrowed import Fetches
from baton.store.conditions import insert_conditions
from baton.store.sql import DEADLINES, OBAN_INSERT, Sql
from baton.store.store import Store
from baton.store.translating import translating_database_errors
from baton.store.waits import insert_wait_steps, wait_json
from baton.words.argument_errors import NotStorableError
from baton.words.database_errors import DatabaseError
from baton.words.rows import Job, NewWorkflow
from baton.words.states import JobState
from baton.words.workflow_errors import WorkflowExistsError

CHUNK_ROWS = 5_000
CHUNK_BYTES = 8_000_000

_META_LIMIT = 65_536

# Joins the values of a column; refused in names, escaped in JSON.
_DELIMITER = "\x1f"

Row = tuple[str, ...]


class Inserted(NamedTuple):
    """What an insertion wrote; `now` (UTC, by the database's clock) tells it from any other."""

    now: str
    jobs: list[Job]


class Reserved(NamedTuple):
    """Ids for the jobs, in order, and the instant of the insertion."""

    now: str
    job_ids: list[str]


async def insert_through(
    database: Store, workflows: Sequence[NewWorkflow], notify: bool
) -> list[Job]:
    """Insert in a transaction of our own, again after passing failures.

    After a lost connection the insertion is looked for before it is repeated: its commit may have
    happened. Raises WorkflowExistsError, SchemaMissingError, UnavailableError.
    """
    # A later attempt gets this far only when the transaction of the former one is gone.
    last: Inserted | None = None

    async def body() -> list[Job]:
        nonlocal last
        async with database.transaction() as connection:
            try:
                last = await _insert(connection, database.sql, workflows, notify)
            except WorkflowExistsError:
                if last is None or not await _confirmed(connection, database.sql, workflows, last):
                    raise
        return last.jobs

    with translating_database_errors("inserting workflows"):
        return await database.retrying(body, idempotent=True)


async def insert_on(
    connection: Fetches, sql: Sql, workflows: Sequence[NewWorkflow], *, notify: bool
) -> list[Job]:
    """Insert on a connection whose transaction the caller rolls back when this raises.

    Raises WorkflowExistsError, and what the driver raises.
    """
    return (await _insert(connection, sql, workflows, notify)).jobs


async def _insert(
    connection: Fetches, sql: Sql, workflows: Sequence[NewWorkflow], notify: bool
) -> Inserted:
    reserved = await _reserve(connection, sql, workflows)
    await _insert_deadlines(connection, sql, workflows, reserved.now, notify=notify)
    return Inserted(reserved.now, await _write(connection, sql, workflows, reserved, notify))


async def insert_among(
    connection: Fetches,
    sql: Sql,
    steps: NewWorkflow,
    among: Among,
    grown_by: int | None,
    *,
    notify: bool,
) -> list[Job]:
    """Insert steps of a workflow that is there, on a connection that holds its lock. `grown_by` is
    the job of the step that adds them.
    """
    ((job_ids, now),) = await connection.fetch(sql("reserve_jobs"), len(steps.steps))
    reserved = Reserved(now, job_ids.split(","))
    return await _write(connection, sql, [steps], reserved, notify, among, grown_by)


async def _write(
    connection: Fetches,
    sql: Sql,
    workflows: Sequence[NewWorkflow],
    reserved: Reserved,
    notify: bool,
    among: Among = NEW,
    grown_by: int | None = None,
) -> list[Job]:
    jobs: list[Job] = []
    rows: list[Row] = []
    woken = set[str]()
    size = 0

    grower = None if grown_by is None else str(grown_by)

    async def write() -> None:
        query, channel = sql("insert_steps"), sql.channel(OBAN_INSERT)
        notices = _notices(woken)
        await connection.fetch(query, *_columns(rows), reserved.now, channel, notices, grower)

    for job, row, row_size in _rows(workflows, reserved, among):
        jobs.append(job)
        rows.append(row)
        size += row_size
        if notify and job.state is JobState.AVAILABLE:
            woken.add(job.queue)
        if len(rows) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            await write()
            rows, size, woken = [], 0, set[str]()
    if rows:
        await write()
    if any(step.wait is not None for workflow in workflows for step in workflow.steps):
        await insert_wait_steps(connection, sql, _wait_steps(workflows, jobs), notify=notify)
    if any(step.any_of or step.condition for workflow in workflows for step in workflow.steps):
        await insert_conditions(connection, sql, workflows, jobs, among.existing)
    return jobs


async def _reserve(connection: Fetches, sql: Sql, workflows: Sequence[NewWorkflow]) -> Reserved:
    columns = zip(
        *(
            (
                str(w.workflow_id),
                w.workflow_name,
                str(len(w.steps)),
                _bool(w.debug),
                _trace(w),
                _text_array(w.tags) if w.tags else None,
                w.attributes,
                w.input,
                w.output_step,
            )
            for w in workflows
        ),
        strict=True,
    )
    steps = sum(len(workflow.steps) for workflow in workflows)
    (row,) = await connection.fetch(sql("insert_workflows"), *columns, str(steps))
    taken, job_ids, now = row
    new = {UUID(text) for text in taken.split(",")} if taken else set[UUID]()
    for workflow in workflows:
        if workflow.workflow_id not in new:
            raise WorkflowExistsError(workflow.workflow_id)
    if job_ids is None:
        raise DatabaseError("oban_jobs.id has no sequence of its own to take ids from")
    return Reserved(now, job_ids.split(","))


async def _insert_deadlines(
    connection: Fetches, sql: Sql, workflows: Sequence[NewWorkflow], now: str, *, notify: bool
) -> None:
    given = [(str(w.workflow_id), w.deadline) for w in workflows if w.deadline is not None]
    if not given:
        return
    inserted = datetime.fromisoformat(now).replace(tzinfo=UTC)
    moments = [
        (at if isinstance(at, datetime) else inserted + timedelta(seconds=at)).isoformat()
        for _, at in given
    ]
    channel = sql.channel(DEADLINES) if notify else None
    ids = [workflow_id for workflow_id, _ in given]
    await connection.fetch(sql("insert_deadlines"), ids, moments, channel)


def _rows(
    workflows: Sequence[NewWorkflow], reserved: Reserved, among: Among
) -> Iterator[tuple[Job, Row, int]]:
    now = datetime.fromisoformat(reserved.now).replace(tzinfo=UTC)
    start = 0
    for workflow in workflows:
        workflow_id, meta = str(workflow.workflow_id), _meta(workflow)
        debug = _bool(workflow.debug)
        ids = reserved.job_ids[start : start + len(workflow.steps)]
        start += len(ids)
        planned = plan(workflow.steps, ids, now, among)
        for step, job_id, state, due, deps, dependents, pending in planned:
            job = Job(int(job_id), workflow.workflow_id, step.name, step.worker, step.queue, state)
            row = (
                job_id,
                workflow_id,
                step.name,
                state.value,
                step.queue,
                step.worker,
                step.args,
                meta,
                _text_array(step.tags),
                str(step.priority),
                str(step.max_attempts),
                "" if due is None else due.replace(tzinfo=None).isoformat(),
                "" if step.timeout is None else repr(step.timeout),
                f"{{{','.join(deps)}}}",
                f"{{{','.join(dependents)}}}",
                str(pending),
                _bool(step.ignore_cancelled),
                _bool(step.ignore_discarded),
                _bool(step.run_when_skipped),
                step.model or "",
                debug,
            )
            yield job, row, len(step.args) + 20 * (len(deps) + len(dependents))


def _wait_steps(workflows: Sequence[NewWorkflow], jobs: Sequence[Job]) -> list[str]:
    steps = (step for workflow in workflows for step in workflow.steps)
    return [
        wait_json(step.wait, job_id=job.id, workflow_id=str(job.workflow_id))
        for step, job in zip(steps, jobs, strict=True)
        if step.wait is not None
    ]


def _columns(rows: Sequence[Row]) -> list[str]:
    columns = [_DELIMITER.join(column) for column in zip(*rows, strict=True)]
    if any(column.count(_DELIMITER) >= len(rows) for column in columns):
        raise NotStorableError("a step", "a text contains the control character 0x1F")
    return columns


def _meta(workflow: NewWorkflow) -> str:
    meta: dict[str, object] = {}
    if workflow.workflow_name is not None:
        meta["workflow_label"] = workflow.workflow_name
    if workflow.trace_context:
        meta["trace_context"] = dict(workflow.trace_context)
    return encode(meta, what="the meta of the workflow's jobs", limit=_META_LIMIT)


def _trace(workflow: NewWorkflow) -> str | None:
    if not workflow.trace_context:
        return None
    return encode(dict(workflow.trace_context), what="the trace context", limit=_META_LIMIT)


def _notices(queues: set[str]) -> list[str]:
    # A queue's name is at most 127 characters, far below NOTIFY's 7,999 bytes.
    return [encode({"queue": queue}, what="the notice", limit=7_999) for queue in sorted(queues)]


def _text_array(texts: Sequence[str]) -> str:
    if not texts:
        return "{}"
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _bool(value: bool) -> str:
    return "t" if value else "f"


async def _confirmed(
    connection: Fetches, sql: Sql, workflows: Sequence[NewWorkflow], former: Inserted
) -> bool:
    ids = [str(workflow.workflow_id) for workflow in workflows]
    (row,) = await connection.fetch(sql("confirm_insertion"), ids, former.now)
    return int(row[0]) == len(ids)
