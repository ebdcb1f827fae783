"""The connections of steps with a transaction of their own: how many, and whose settings."""

from __future__ import annotations

import asyncio
from typing import Any

from baton import Baton, Delivery, Step, send_event
from support.effects import WRITE, acting, effects, job_of, with_effects
from support.running import Run


async def test_the_session_is_the_applications(dsn: str) -> None:
    """None of Baton's settings, whatever the step sets is not left to the next, and does not hurt
    the settlement.
    """
    pids: list[int] = []

    async def setting(step: Step) -> Any:
        async with step.transaction() as conn:
            pids.append(await conn.fetchval("SELECT pg_backend_pid()"))
            found = await conn.fetchval(
                "SELECT concat_ws(' ', current_setting('search_path'),"
                " current_setting('enable_seqscan'), current_setting('lock_timeout'),"
                " current_setting('transaction_isolation'))"
            )
            await conn.execute("CREATE TEMP TABLE scratch (n int)")
            await conn.execute("SET search_path TO nowhere; SET statement_timeout = '500ms'")
            await conn.execute(
                "SET LOCAL TimeZone TO 'Asia/Tokyo'; SET LOCAL ROLE pg_read_all_data"
            )
            for name in ("jsonb", "uuid", "timestamp", "timestamptz", "int8", "text"):
                await conn.set_type_codec(
                    name, schema="pg_catalog", encoder=str, decoder=lambda _: None
                )
        return found

    async with with_effects(dsn, transactions=1) as run:
        for _ in range(2):
            workflow = acting(setting)
            await run.completed(workflow)
            found = await run.engine.workflow(workflow.workflow_id).result("a")
            assert found == "pg_catalog on 0 read committed"
        assert len(set(pids)) == 1


async def test_more_than_there_are_connections_wait(dsn: str) -> None:
    open_now, most = 0, 0

    async def counting(step: Step) -> int:
        nonlocal open_now, most
        async with step.transaction() as conn:
            open_now += 1
            most = max(most, open_now)
            await conn.execute(WRITE, "a")
            await asyncio.sleep(0)
        open_now -= 1
        return 1

    async with with_effects(dsn, transactions=2) as run:
        workflow = Baton()
        for number in range(20):
            workflow.add(f"s{number}", job_of(counting))
        await run.completed(workflow)
        assert len(await effects(run)) == 20
        assert most == 2


async def test_it_costs_no_connection_where_nobody_asks(dsn: str) -> None:
    async def modest(step: Step) -> int:
        return 1

    async with with_effects(dsn) as run:
        await run.completed(acting(modest))
        assert await connections(run) == []

        async def asks(step: Step) -> int:
            async with step.transaction():
                return 1

        await run.completed(acting(asks))
        assert len(await connections(run)) == 1


async def connections(run: Run) -> list[int]:
    rows = await run.tables.rows(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND (query LIKE '%DISCARD TEMP%' OR query LIKE '%baton.attempt%')"
        " AND pid <> pg_backend_pid()"
    )
    return [row["pid"] for row in rows]


async def test_steps_that_write_the_same_row(dsn: str) -> None:
    """Each holds the row until its commit, and the workflow's lock comes after: nobody waits for
    another in a circle, beside steps that are settled in batches.
    """

    async def add(step: Step) -> int:
        async with step.transaction() as conn:
            await conn.execute("UPDATE public.sums SET n = n + 1")
        await asyncio.sleep(0)
        return 1

    async def beside(step: Step) -> int:
        return 1

    async with with_effects(dsn, transactions=3) as run:
        await run.tables.execute("CREATE TABLE public.sums AS SELECT 0 AS n")
        workflow = Baton()
        for number in range(15):
            workflow.add(f"s{number}", job_of(add))
            workflow.add(f"p{number}", job_of(beside))
            workflow.add(f"d{number}", job_of(add), deps=[f"s{number}", f"p{number}"])
        await run.completed(workflow)
        assert await run.tables.value("SELECT n FROM public.sums") == 30


async def test_a_row_that_refers_to_a_workflow(dsn: str) -> None:
    """A foreign key of the application's shares the row of the workflow that is locked later."""

    async def refer(step: Step) -> None:
        async with step.transaction() as conn:
            await conn.execute("INSERT INTO public.owned VALUES ($1)", step.workflow_id)

    async with with_effects(dsn) as run:
        await run.tables.execute(
            "CREATE TABLE public.owned (workflow_id uuid REFERENCES baton.workflows (id))"
        )
        workflow = Baton()
        for number in range(10):
            workflow.add(f"s{number}", job_of(refer))
        await run.completed(workflow)
        assert await run.tables.value("SELECT count(*) FROM public.owned") == 10


async def test_an_event_sent_in_it_is_part_of_it(dsn: str) -> None:
    """An attempt that fails has sent nothing; the wait is in the same workflow."""

    async def tell(step: Step) -> None:
        async with step.transaction() as conn:
            sent = await send_event(step.workflow_id, "told", step.attempt, conn=conn)
        assert sent is Delivery.SETTLED
        if step.attempt == 1:
            raise RuntimeError("no")

    async with with_effects(dsn) as run:
        workflow = Baton().add("a", job_of(tell)).wait("b", any_of=["told"])
        completion = await run.workflow(workflow)
        assert completion.outcome == "completed"
        result = await run.engine.workflow(workflow.workflow_id).result("b")
        assert result["events"] == {"told": 2}
