"""Insights on a database whose rows a test changes by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from baton import Baton, Database, Step, insert_all, worker
from baton.insights import Insights
from support.running import Tables


@worker(name="looking.noop")
async def noop(step: Step) -> None:
    """Never performed: the tests change the rows."""


@dataclass(frozen=True)
class Sight:
    """Insights, the connection to insert on, and the tables to change."""

    look: Insights
    connection: asyncpg.Connection[Any]
    tables: Tables

    async def insert(self, *workflows: Baton) -> None:
        await insert_all(workflows, conn=self.connection)

    async def execute(self, query: str, *args: object) -> None:
        await self.connection.execute(query, *args)

    async def settle(self, workflow: Baton, name: str, state: str) -> None:
        """Make one step look settled, without what follows from it."""
        await self.execute(
            "UPDATE baton.workflow_nodes SET state = $3::text::baton.step_state"
            " WHERE workflow_id = $1 AND name = $2",
            workflow.workflow_id,
            name,
            state,
        )
        await self.tables.change(workflow, name, state=f"'{state}'")

    async def end(self, workflow: Baton, outcome: str) -> None:
        """Make a workflow look ended."""
        failed = int(outcome in ("failed", "cancelled"))
        await self.execute(
            "UPDATE baton.workflows SET outstanding = 0, failed = $2, finished_at = now()"
            " WHERE id = $1",
            workflow.workflow_id,
            failed,
        )
        await self.execute(
            "INSERT INTO baton.workflow_completions (workflow_id, workflow_name, outcome,"
            " failed_steps, failed_count, total_count, inserted_at, finished_at)"
            " SELECT id, name, $2::text, '{}', failed, steps, inserted_at, inserted_at + '2 s'"
            " FROM baton.workflows WHERE id = $1",
            workflow.workflow_id,
            outcome,
        )

    async def engine(
        self,
        silent_for: float = 0,
        rescue_after: float = 60,
        queues: Mapping[str, int] | None = None,
    ) -> UUID:
        """Make an engine known that was seen some seconds ago, and what it serves."""
        engine_id = uuid4()
        await self.execute(
            "INSERT INTO baton.baton_engines (id, name, node, rescue_after, seen_at, queues)"
            " VALUES ("
            "     $1, 'ours', 'host', $2, clock_timestamp() - make_interval(secs => $3), $4::jsonb"
            " )",
            engine_id,
            rescue_after,
            silent_for,
            json.dumps(queues or {"default": 10, "io": 1}),
        )
        return engine_id


@asynccontextmanager
async def sight(dsn: str) -> AsyncIterator[Sight]:
    database = Database(dsn, application_name="baton-insights", pool_size=2)
    connection = await asyncpg.connect(dsn)
    await database.open()
    try:
        yield Sight(Insights(database), connection, Tables(connection))
    finally:
        await database.close()
        await connection.close()
