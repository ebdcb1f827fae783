"""Events sent by a key, to all who wait with it."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from baton import Baton, Delivery, insert_all, send_event
from baton.errors import InvalidPayloadError
from baton.words.events import EventReceived, WaitSettled
from support.deciding import BAD, GOOD, Decision, gate, keyed
from support.running import running
from support.waiting import eventually
from support.waits import statuses, until_looked_for_events, until_waits


async def test_a_key_reaches_all_who_wait_with_it_and_no_others(dsn: str) -> None:
    workflows = [
        gate(correlation_key="k"),
        gate("x", "y", correlation_key="k"),
        gate(correlation_key="other"),
        gate(),
    ]
    waiting = Baton().add("s", keyed.new())
    later = (
        Baton().wait("a", any_of=["go"]).wait("gate", any_of=["x"], deps=["a"], correlation_key="k")
    )
    async with running(dsn) as run:
        await insert_all([*workflows, waiting, later])
        await until_waits(run.tables, waiting)
        await until_looked_for_events(run.tables)
        assert await send_event(None, "x", "all", correlation_key="k") is Delivery.SETTLED
        (told,) = await run.events.until(EventReceived)
        assert (told.correlation_key, told.workflow_id, told.waits) == ("k", None, 4)
        await run.end(workflows[0])
        await run.end(waiting)
        assert await run.engine.workflow(waiting.workflow_id).result("s") == "all"
        assert [
            len(await run.engine.workflow(w.workflow_id).waiting_steps()) for w in workflows
        ] == [0, 1, 1, 1]
        assert await send_event(later.workflow_id, "go") is Delivery.SETTLED
        await run.end(later)
        assert await send_event(workflows[1].workflow_id, "y") is Delivery.SETTLED
        for workflow in workflows[2:]:
            await run.engine.workflow(workflow.workflow_id).cancel()


async def test_what_is_sent_by_a_key_before_anybody_waits_is_for_the_first(dsn: str) -> None:
    first, second = gate(correlation_key="k"), gate(correlation_key="k")
    async with running(dsn) as run:
        assert await send_event(None, "x", 1, correlation_key="k") is Delivery.BUFFERED
        assert (
            await send_event(None, "x", 1, correlation_key="k", dedupe_id="d") is Delivery.BUFFERED
        )
        assert (
            await send_event(None, "x", 2, correlation_key="k", dedupe_id="d") is Delivery.DUPLICATE
        )
        for workflow in (first, second):
            await run.workflow(workflow)
        third = gate(correlation_key="k")
        await run.insert(third)
        assert await statuses(run.tables, third) == ["pending"]
        await run.engine.workflow(third.workflow_id).cancel()


async def test_a_thousand_wait_with_one_key(dsn: str) -> None:
    """Four senders at once: each event goes to each of them that still needs one."""
    workflows = [gate("x", "y", "z", correlation_key="k") for _ in range(1000)]
    async with running(dsn) as run:
        await insert_all(workflows)
        sent = await asyncio.gather(
            *(
                send_event(None, name, name, correlation_key="k")
                for name in ("x", "y", "z", "other")
            )
        )
        assert sent[3] is Delivery.BUFFERED
        # Senders that meet at one workflow pass it over, and come back or leave it to the engine.
        assert len(await run.events.until(WaitSettled, 1000)) == 1000
        states = "SELECT array_agg(state || ' ' || receivers ORDER BY name) FROM workflow_events"
        handed_out = ["kept 0", *["given 1000"] * 3]

        async def done() -> bool:
            return bool(
                await run.tables.value(states.replace("FROM ", "FROM baton.")) == handed_out
            )

        await eventually(done)
        counted = "SELECT count(*) FROM baton.workflow_completions"
        assert await run.tables.value(counted) == 1000


async def test_an_invalid_payload_by_a_key(dsn: str) -> None:
    workflow = gate(correlation_key="k", payload_type=Decision)
    async with running(dsn) as run:
        await run.insert(workflow)
        await until_looked_for_events(run.tables)
        with pytest.raises(InvalidPayloadError):
            await send_event(None, "x", BAD, correlation_key="k")
        assert await run.tables.value("SELECT count(*) FROM baton.workflow_events") == 0
        assert await send_event(None, "x", GOOD, correlation_key="k") is Delivery.SETTLED
        await run.end(workflow)


async def test_others_finish_what_a_sender_by_a_key_began(dsn: str) -> None:
    """It died after its first transaction."""
    workflows = [gate(correlation_key="k", payload_type=Decision), gate(correlation_key="k")]
    async with running(dsn, queues={}) as run:
        await insert_all(workflows)
        await run.tables.execute(
            "SELECT baton.baton_send_key('k', 'x', $1, NULL, $2, '0.01', true, NULL)",
            json.dumps(GOOD),
            json.dumps([{"*": Decision.model_json_schema()}]),
        )
        async with running(dsn) as engine:
            for workflow in workflows:
                await engine.end(workflow)


async def test_a_workflow_that_is_locked_keeps_no_other_wait(dsn: str) -> None:
    """Whoever sends in a long transaction holds it; the sweep passes it by and comes back."""
    held = [gate(timeout=0.05), gate(timeout=0.05, on_timeout="cancel")]
    other = gate(timeout=0.05)
    connection = await asyncpg.connect(dsn)
    async with running(dsn, queues={}) as run:
        await insert_all([*held, other])
        async with connection.transaction():
            for workflow in held:
                await send_event(workflow.workflow_id, "unknown", conn=connection)
            async with running(dsn, name="other") as engine:
                await engine.end(other)
                for workflow in held:
                    assert await statuses(run.tables, workflow) == ["pending"]
        async with running(dsn, name="other") as engine:
            for workflow in held:
                await engine.end(workflow)
    await connection.close()


async def test_what_the_database_refuses_keeps_no_other_wait(dsn: str) -> None:
    """One row that cannot be written: the others expire, and it is tried again later."""
    cursed, careful = gate(timeout=0.05), gate(timeout=0.05, on_timeout="cancel")
    others = [gate(timeout=0.05) for _ in range(3)]
    async with running(dsn, queues={}) as run:
        await insert_all([cursed, careful, *others])
        await run.tables.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'cursed'; END $$"
        )
        await run.tables.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON baton.workflow_nodes FOR EACH ROW"
            f" WHEN (OLD.workflow_id IN ('{cursed.workflow_id}', '{careful.workflow_id}'))"
            " EXECUTE FUNCTION public.refuse()"
        )
        async with running(dsn, name="other") as engine:
            for workflow in others:
                await engine.end(workflow)

            for workflow in (cursed, careful):
                assert await statuses(run.tables, workflow) == ["pending"]
            await run.tables.execute("DROP TRIGGER refuse ON baton.workflow_nodes")
            for workflow in (cursed, careful):
                await engine.end(workflow)
