"""What is settled in a step's own transaction: fenced, refused, held up, in doubt."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from baton import Baton, Step
from baton.runtime.executor import Executor
from baton.store.step_transactions import StepTransaction
from baton.words.events import StepCompleted, StepFenced, StepInterrupted, WorkflowFinished
from support.effects import WRITE, acting, effects, job_of, with_effects
from support.proxy import Cut, Way, proxied
from support.running import Run, fast, recorded


class Body:
    """Writes, and stops before it returns until it is let go; its later attempts do not stop."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.workflow = acting(self.perform)

    async def perform(self, step: Step) -> int:
        first = not self.reached.is_set()
        async with step.transaction() as conn:
            await conn.execute(WRITE, "first" if first else "later")
        self.reached.set()
        if first:
            await self.go.wait()
        return 1


async def begun(run: Run) -> Body:
    body = Body()
    await run.insert(body.workflow)
    await body.reached.wait()
    return body


async def test_a_cancelled_workflow(dsn: str) -> None:
    async with with_effects(dsn) as run:
        body = await begun(run)
        await run.engine.workflow(body.workflow.workflow_id).cancel()
        await run.events.until(StepInterrupted, step="a")
        assert (await run.end(body.workflow)).outcome == "cancelled"
        assert await effects(run) == []


async def test_without_notifications_the_fence_alone_rolls_back(dsn: str) -> None:
    async with with_effects(dsn, notify=False, poll_interval=0.05) as run:
        body = await begun(run)
        await run.engine.workflow(body.workflow.workflow_id).complete_step("a", "hand")
        body.go.set()
        await run.events.until(StepInterrupted, step="a")
        await run.end(body.workflow)
        assert await effects(run) == []
        assert await run.engine.workflow(body.workflow.workflow_id).result("a") == "hand"
        assert run.events.of(StepCompleted, step="a") == []


async def test_a_rescued_step_writes_once(dsn: str) -> None:
    """The first attempt ends after it has lost its claim: the second one's rows stand alone."""
    async with with_effects(dsn) as run:
        body = await begun(run)
        await run.tables.change(body.workflow, "a", state="'available'", attempt="0")
        run.engine.queue("default").scale(11)
        await run.end(body.workflow)
        body.go.set()
        await run.events.until(StepFenced, step="a")
        assert await effects(run) == ["later"]
        assert len(run.events.of(StepCompleted, step="a")) == 1


async def test_a_retried_step_writes_once(dsn: str) -> None:
    async with with_effects(dsn) as run:
        body = await begun(run)
        handle = run.engine.workflow(body.workflow.workflow_id)
        await handle.retry(steps=["a"], interrupt=True)
        await run.end(body.workflow)
        assert await effects(run) == ["later"]


async def test_what_the_database_refuses_is_an_error_of_the_step(dsn: str) -> None:
    async def number(step: Step) -> int:
        async with step.transaction() as conn:
            await conn.execute(WRITE, f"{step.attempt}")
        return step.attempt

    async with with_effects(dsn) as run:
        await run.tables.execute(
            """
            CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.result ->> 'value' = '1' THEN RAISE 'not this one'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE UPDATE ON baton.workflow_nodes
            FOR EACH ROW EXECUTE FUNCTION public.refuse();
            """
        )
        workflow = acting(number)
        await run.workflow(workflow)
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.attempt) == ("completed", 2)
        assert "not this one" in (row.error or "")
        assert await effects(run) == ["2"]


async def test_what_the_commit_refuses_is_an_error_of_the_step(dsn: str) -> None:
    """A trigger on Baton's own tables that fires with the commit."""
    async with with_effects(dsn) as run:
        await run.tables.execute(
            """
            CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.result ->> 'value' = '1' THEN RAISE 'not in the end'; END IF;
                RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON baton.workflow_nodes
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse();
            """
        )

        async def number(step: Step) -> int:
            async with step.transaction() as conn:
                await conn.execute(WRITE, f"{step.attempt}")
            return step.attempt

        workflow = acting(number)
        await run.workflow(workflow)
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.attempt) == ("completed", 2)
        assert await effects(run) == ["2"]


async def test_a_lock_on_the_workflow_costs_no_attempt(
    dsn: str, db: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baton.store.step_transactions.LOCK_TIMEOUT", 0.1)
    monkeypatch.setattr("baton.runtime.executor.FAULT_DELAY", 0.0)
    async with with_effects(dsn) as run:
        body = await begun(run)
        async with db.transaction():
            await db.execute("SELECT FROM baton.workflows FOR UPDATE")
            body.go.set()
            # Its connection is free again: the transaction was rolled back.
            await run.tables.execute("BEGIN; LOCK TABLE public.effects; COMMIT")
            assert await effects(run) == []
        await run.end(body.workflow)
        row = await run.tables.step(body.workflow, "a")
        assert (row.state, row.attempt, row.errors) == ("completed", 1, [])
        assert await effects(run) == ["later"]


async def test_a_connection_that_is_lost_before_the_end(dsn: str) -> None:
    async with with_effects(dsn) as run:
        body = await begun(run)
        await run.tables.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle in transaction'"
        )
        body.go.set()
        await run.end(body.workflow)
        row = await run.tables.step(body.workflow, "a")
        assert (row.state, row.attempt) == ("completed", 2)
        assert "its connection was lost before the step returned" in (row.error or "")
        assert await effects(run) == ["later"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("way", [Way.LOST, Way.TERMINATE])
async def test_a_commit_in_doubt(dsn: str, way: Way, after: bool) -> None:
    """Its reply is lost: committed, it is told as such; else the step is performed again."""

    async def write(step: Step) -> int:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        return 1

    async with with_effects(dsn) as run, proxied(dsn) as proxy:
        workflow = Baton().add("a", job_of(write), queue="apart")
        proxy.arm(Cut(1, after, way, "COMMIT;"))
        with recorded() as events:
            async with fast(proxy.dsn, name="apart", queues={"apart": 1}):
                await run.insert(workflow)
                await events.until(WorkflowFinished, workflow_id=workflow.workflow_id)
                await proxy.cut.wait()
        assert events.endings("a") == (
            ["StepCompleted"] if after else ["StepSnoozed", "StepCompleted"]
        )
        assert len(events.of(WorkflowFinished, engine="apart")) == 1
        assert await effects(run) == ["a"]
        assert (await run.tables.step(workflow, "a")).attempt == 1


async def test_a_stop_does_not_cut_the_commit_short(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption that comes while the commit is under way: what was committed is told."""
    reached, go = asyncio.Event(), asyncio.Event()
    commit = StepTransaction.commit

    async def slow(transaction: StepTransaction) -> None:
        reached.set()
        await go.wait()
        await commit(transaction)

    interrupt_all = Executor.interrupt_all

    def interrupting(executor: Executor) -> int:
        count = interrupt_all(executor)
        go.set()
        return count

    monkeypatch.setattr(StepTransaction, "commit", slow)
    monkeypatch.setattr(Executor, "interrupt_all", interrupting)

    async def write(step: Step) -> int:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        return 1

    async with with_effects(dsn, shutdown_grace=0.0, interrupt_grace=5.0) as run:
        workflow = Baton().add("a", job_of(write))
        await run.insert(workflow)
        await reached.wait()
        await run.engine.stop()
        assert go.is_set()
        assert run.events.endings("a") == ["StepCompleted"]
        assert len(run.events.of(WorkflowFinished)) == 1
        assert await effects(run) == ["a"]
