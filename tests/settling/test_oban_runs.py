"""Workflows, sweeps, rescues and pruning on the tables of every Oban, in a schema of any name."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from baton import Baton, Cancel, Engine, Plugin, Snooze, Step, schema, worker
from baton.errors import UnknownWorkflowError
from baton.store.sql import Sql
from baton.store.store import store_of
from baton.sweep.plugin import sweep_in_turn
from baton.words.events import JobsRescued, RowsPruned, SweepFinished
from settling.test_oban_tables import KINDS, oban
from support.running import FAST, beating, recorded

NAME = "Any \"name' of.it"


@worker(max_attempts=2, backoff=0)
async def fails(step: Step) -> None:
    raise ValueError("no")


@worker
async def cancels(step: Step) -> Cancel:
    return Cancel("not today")


@worker
async def naps(step: Step) -> Snooze | int:
    naps_taken.append(step.name)
    return Snooze(0) if naps_taken.count(step.name) == 1 else 7


naps_taken: list[str | None] = []


@pytest.mark.parametrize("kind", KINDS)
async def test_everything_runs_on_it(empty_dsn: str, kind: str) -> None:
    name = f"{NAME} {kind}"
    own = Sql(name).identifier
    tables = await asyncpg.connect(empty_dsn)
    await tables.execute(f"CREATE SCHEMA {own}; {oban(kind, name)}")
    await schema.migrate(empty_dsn, schema=name)
    naps_taken.clear()
    workflow = (
        Baton(ignore_discarded=True)
        .add("fails", fails.new())
        .add("cancels", cancels.new())
        .add("naps", naps.new(), deps=["fails"])
        .add("never", naps.new(), deps=["cancels"])
    )
    lost = Baton().add("a", naps.new(), schedule_in=3600).add("b", naps.new(), deps=["a"])
    orphaned = Baton().add("o", naps.new(), schedule_in=3600)
    plugin = Plugin(prune=True, job_max_age={"completed": 0, "cancelled": 0, "discarded": 0})
    with recorded() as events:
        async with Engine(empty_dsn, schema=name, rescue_interval=0.05, **FAST) as engine:
            for each in (workflow, lost, orphaned):
                await each.insert(engine=engine)
            end = await engine.workflow(workflow.workflow_id).completion(timeout=20)
            assert end.failed_steps == ("fails", "cancels", "never")
            assert await engine.workflow(workflow.workflow_id).result("naps") == 7

            await beating(store_of(engine), engine.engine_id)
            await tables.execute(
                f"UPDATE {own}.oban_jobs SET state = 'executing', attempt = 1,"
                " attempted_at = timezone('UTC', now()) - interval '1 day',"
                " attempted_by = ARRAY['node', $2, 'baton'] WHERE id = (SELECT job_id"
                f" FROM {own}.workflow_nodes WHERE workflow_id = $1)",
                orphaned.workflow_id,
                str(uuid4()),
            )
            await events.until(JobsRescued)
            await engine.workflow(orphaned.workflow_id).completion(timeout=20)

            await tables.execute(
                f"DELETE FROM {own}.oban_jobs WHERE id = (SELECT min(job_id)"
                f" FROM {own}.workflow_nodes WHERE workflow_id = $1)",
                lost.workflow_id,
            )
            await sweep_in_turn(Plugin(), store_of(engine), engine.settings)
            end = await engine.workflow(lost.workflow_id).completion(timeout=20)
            assert end.failed_steps == ("a", "b")
            for _ in range(2):
                await plugin.sweep(engine.database)
            assert {event.failed for event in events.of(SweepFinished)} == {()}
            assert {table for event in events.of(RowsPruned) for table in event.tables} == {
                "oban_jobs",
                "workflow_nodes",
                "workflow_completions",
                "workflow_deleted_jobs",
                "workflows",
            }
            with pytest.raises(UnknownWorkflowError):
                await engine.workflow(workflow.workflow_id).completion()
            assert await tables.fetchval(f"SELECT count(*) FROM {own}.oban_jobs") == 0
    await tables.close()
