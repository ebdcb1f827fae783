"""The ledger: append-only, written by the steps themselves over connections of their own."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg

# `mark` is start, end or left; a row of an end says how the step meant to end, one of left what the
# body raised before. `resumed` is what a wait returned to its step, at each run of its body. `told`
# are the events WorkflowFinished of all processes; `sent` is what senders got as an answer.
_TABLES = """
CREATE TABLE public.ledger (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mark text NOT NULL,
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    token uuid NOT NULL,
    pid integer NOT NULL,
    ending text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON public.ledger (job_id, mark);
CREATE TABLE public.written (job_id bigint NOT NULL, token uuid NOT NULL);
CREATE TABLE public.told (workflow_id uuid NOT NULL, pid integer NOT NULL);
CREATE TABLE public.resumed (
    job_id bigint NOT NULL, key text NOT NULL, token uuid NOT NULL, outcome jsonb NOT NULL
);
CREATE INDEX ON public.resumed (job_id);
CREATE TABLE public.sent (
    id text NOT NULL, workflow_id uuid, key text, name text NOT NULL, answer text NOT NULL
);
CREATE INDEX ON public.sent (id);
"""


async def create(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(_TABLES)
    await connection.close()


class Truth(Protocol):
    """What the steps and the processes write down."""

    async def start(self, job_id: int, attempt: int, token: UUID) -> int: ...
    async def end(self, job_id: int, attempt: int, token: UUID, ending: str) -> None: ...
    async def left(self, job_id: int, attempt: int, token: UUID, error: str) -> None: ...
    async def resumed(self, job_id: int, key: str, token: UUID, outcome: object) -> None: ...
    async def tell(self, workflow_ids: Sequence[UUID]) -> None: ...
    async def close(self) -> None: ...


class Ledger:
    """This process's hand in the ledger. Every line is committed when the call returns."""

    def __init__(self, dsn: str, connections: int = 4) -> None:
        self._dsn = dsn
        self._slots = asyncio.Semaphore(connections)
        self._free: list[asyncpg.Connection[Any]] = []

    async def start(self, job_id: int, attempt: int, token: UUID) -> int:
        """Note that a step starts; returns how often it had started before."""
        before: int = await self._run(
            "WITH noted AS (INSERT INTO public.ledger (mark, job_id, attempt, token, pid)"
            " VALUES ('start', $1, $2, $3, $4))"
            " SELECT count(*) FROM public.ledger WHERE job_id = $1 AND mark = 'start'",
            job_id,
            attempt,
            token,
            os.getpid(),
        )
        return before

    async def end(self, job_id: int, attempt: int, token: UUID, ending: str) -> None:
        await self._note("end", job_id, attempt, token, ending)

    async def left(self, job_id: int, attempt: int, token: UUID, error: str) -> None:
        await self._note("left", job_id, attempt, token, error)

    async def _note(self, mark: str, job_id: int, attempt: int, token: UUID, ending: str) -> None:
        await self._run(
            "INSERT INTO public.ledger (mark, job_id, attempt, token, pid, ending)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            mark,
            job_id,
            attempt,
            token,
            os.getpid(),
            ending,
        )

    async def resumed(self, job_id: int, key: str, token: UUID, outcome: object) -> None:
        """Note what a wait returned."""
        await self._run(
            "INSERT INTO public.resumed VALUES ($1, $2, $3, $4::text::jsonb)",
            job_id,
            key,
            token,
            json.dumps(outcome),
        )

    async def tell(self, workflow_ids: Sequence[UUID]) -> None:
        await self._run(
            "INSERT INTO public.told SELECT i, $2 FROM unnest($1::uuid[]) AS i",
            workflow_ids,
            os.getpid(),
        )

    async def close(self) -> None:
        for connection in self._free:
            await connection.close()
        self._free.clear()

    async def _run(self, query: str, *args: object) -> Any:
        async with self._slots:
            connection = self._free.pop() if self._free else await self._connect()
            try:
                return await connection.fetchval(query, *args)
            finally:
                self._free.append(connection)

    async def _connect(self) -> asyncpg.Connection[Any]:
        # The server is not what is killed here, so the ledger need not wait for the disk.
        settings = {"synchronous_commit": "off", "application_name": "ledger"}
        return await asyncpg.connect(self._dsn, server_settings=settings)


class FileLedger:
    """The same in a folder that all processes share, for where the server is what is broken.

    Every line is one append of a few bytes: whole, in one order, and there when its writer dies.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ledger.jsonl"
        self._begun = folder / "begun"
        self._begun.mkdir(exist_ok=True)

    async def start(self, job_id: int, attempt: int, token: UUID) -> int:
        """Note that a step starts; returns whether it had started before."""
        self._append("start", job_id, attempt, str(token), os.getpid(), None, _now())
        try:
            (self._begun / str(job_id)).touch(exist_ok=False)
        except FileExistsError:
            return 1
        return 0

    def has_begun(self, job_id: int) -> bool:
        """Whether a step has started."""
        return (self._begun / str(job_id)).exists()

    async def end(self, job_id: int, attempt: int, token: UUID, ending: str) -> None:
        self._append("end", job_id, attempt, str(token), os.getpid(), ending, _now())

    async def left(self, job_id: int, attempt: int, token: UUID, error: str) -> None:
        self._append("left", job_id, attempt, str(token), os.getpid(), error, _now())

    async def resumed(self, job_id: int, key: str, token: UUID, outcome: object) -> None:
        """Note what a wait returned."""
        self._append("resumed", job_id, key, str(token), json.dumps(outcome))

    def sent(
        self, event_id: str, workflow_id: UUID | None, key: str | None, name: str, answer: str
    ) -> None:
        """Note what came of sending an event, whose payload holds this id."""
        workflow = None if workflow_id is None else str(workflow_id)
        self._append("sent", event_id, workflow, key, name, answer)

    async def tell(self, workflow_ids: Sequence[UUID]) -> None:
        for workflow_id in workflow_ids:
            self.told(workflow_id)

    def told(self, workflow_id: UUID) -> None:
        self._append("told", str(workflow_id), os.getpid())

    async def close(self) -> None:
        """Nothing is kept open."""

    def _append(self, *line: object) -> None:
        file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)

    def forget(self) -> None:
        """Begin anew."""
        self._file.unlink(missing_ok=True)
        for begun in self._begun.iterdir():
            begun.unlink()

    async def load(self, dsn: str) -> None:
        """Bring all that was written into the tables of the ledger, in its order."""
        text = self._file.read_text() if self._file.exists() else ""
        lines: dict[str, list[list[Any]]] = defaultdict(list)
        for mark, *line in map(json.loads, text.splitlines()):
            table = "ledger" if mark in ("start", "end", "left") else mark
            if table == "ledger":
                line = [mark, *line[:-1], datetime.fromisoformat(line[-1])]
            lines[table].append(line)
        connection = await asyncpg.connect(dsn)
        try:
            for table, columns in _COLUMNS.items():
                await connection.copy_records_to_table(
                    table, schema_name="public", records=lines[table], columns=columns
                )
        finally:
            await connection.close()


def _now() -> str:
    return datetime.now(UTC).isoformat()


_COLUMNS = {
    "ledger": ("mark", "job_id", "attempt", "token", "pid", "ending", "at"),
    "told": ("workflow_id", "pid"),
    "resumed": ("job_id", "key", "token", "outcome"),
    "sent": ("id", "workflow_id", "key", "name", "answer"),
}
