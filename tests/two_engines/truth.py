"""The ledger: append-only, written by the steps themselves over connections of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

# `mark` is start or end; a row of an end says how the step meant to end. `told` are the events
# WorkflowFinished of all processes.
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
CREATE TABLE public.told (workflow_id uuid NOT NULL, pid integer NOT NULL);
"""


async def create(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(_TABLES)
    await connection.close()


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
        await self._run(
            "INSERT INTO public.ledger (mark, job_id, attempt, token, pid, ending)"
            " VALUES ('end', $1, $2, $3, $4, $5)",
            job_id,
            attempt,
            token,
            os.getpid(),
            ending,
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
