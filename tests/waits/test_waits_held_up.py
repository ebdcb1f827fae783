"""Waits, their timers and events by a key, while somebody holds a lock or the database refuses a
row: what does not need it goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from baton import Baton, Delivery, Plugin, Step, insert_all, send_event, worker
from baton.words.events import WaitSettled
from support.deciding import GOOD, Decision, gate, keyed
from support.running import Run, running
from support.waiting import eventually
from support.waits import statuses, until_looked_for_events, until_waits

SOON = 3.0
"""Seconds that are enough for all that is not held up, on a busy machine."""

LOCKS = {
    "workflow": "SELECT FROM baton.workflows WHERE id = ANY ($1::uuid[]) FOR UPDATE",
    "node": "SELECT FROM baton.workflow_nodes WHERE workflow_id = ANY ($1::uuid[]) FOR UPDATE",
    "job": "SELECT FROM baton.oban_jobs WHERE id IN (SELECT job_id FROM baton.workflow_nodes"
    " WHERE workflow_id = ANY ($1::uuid[])) FOR UPDATE",
    "job below": "SELECT FROM baton.oban_jobs WHERE id IN (SELECT max(job_id) FROM"
    " baton.workflow_nodes WHERE workflow_id = ANY ($1::uuid[]) GROUP BY workflow_id) FOR UPDATE",
}


@worker
async def nap(step: Step, *, seconds: float) -> None:
    await step.sleep(seconds)


@worker
async def below(step: Step) -> None:
    return None


def followed(**options: Any) -> Baton:
    """A gate, and a step below it."""
    return gate(**options).add("below", below.new(), deps=["gate"])


@asynccontextmanager
async def locked(dsn: str, what: str, workflows: Sequence[Baton]) -> AsyncIterator[None]:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(LOCKS[what], [w.workflow_id for w in workflows])
            yield
    finally:
        await connection.close()


async def all_end(run: Run, workflows: Sequence[Baton], seconds: float = SOON) -> None:
    async with asyncio.timeout(seconds):
        await asyncio.gather(*(run.end(workflow) for workflow in workflows))


async def naps(run: Run) -> None:
    """A timer of nobody else's."""
    async with asyncio.timeout(SOON):
        await run.completed(Baton().add("s", nap.new(seconds=0.05)))


@pytest.mark.parametrize("what", LOCKS)
async def test_an_event_by_a_key_reaches_all_but_who_is_locked(dsn: str, what: str) -> None:
    workflows = [followed(correlation_key="k") for _ in range(5)]
    held, others = workflows[:1], workflows[1:]
    async with running(dsn) as run:
        await insert_all(workflows)
        async with locked(dsn, what, held):
            async with asyncio.timeout(SOON):
                assert await send_event(None, "x", 1, correlation_key="k") is Delivery.SETTLED
            await all_end(run, others)
            await naps(run)
            assert await statuses(run.tables, held[0]) == ["pending"]
        await all_end(run, held)


async def test_whoever_is_locked_has_the_event_when_it_is_free(dsn: str) -> None:
    """All are locked when it is sent: it is open for them, and nobody who comes later has it."""
    held = [gate(correlation_key="k"), Baton().add("s", keyed.new())]
    late = gate(correlation_key="k")
    async with running(dsn) as run:
        await insert_all(held)
        await until_waits(run.tables, held[1])
        async with locked(dsn, "workflow", held):
            assert await send_event(None, "x", "first", correlation_key="k") is Delivery.BUFFERED
        await all_end(run, held)
        await run.insert(late)
        await until_looked_for_events(run.tables)
        assert await send_event(None, "x", "second", correlation_key="k") is Delivery.SETTLED
        await run.end(late)
        states = "SELECT array_agg(receivers ORDER BY id) FROM baton.workflow_events"
        assert await run.tables.value(states) == [2, 1]


@pytest.mark.parametrize("what", LOCKS)
@pytest.mark.parametrize("on_timeout", ["result", "cancel"])
async def test_timers_do_not_stand_behind_a_lock(dsn: str, what: str, on_timeout: str) -> None:
    held = [followed(timeout=0.05, on_timeout=on_timeout) for _ in range(4)]
    others = [followed(timeout=0.05, on_timeout=on_timeout) for _ in range(8)]
    async with running(dsn, queues={}) as run:
        # Due at the same moment, so that they are decided together.
        await insert_all([*held[:2], *others[:4], *held[2:], *others[4:]])
        async with locked(dsn, what, held), running(dsn, name="other") as engine:
            await all_end(engine, others, 2 * SOON)
            await naps(engine)
            for workflow in held:
                assert await statuses(run.tables, workflow) == ["pending"]
        async with running(dsn, name="third") as engine:
            await all_end(engine, held)


@pytest.mark.parametrize("on_timeout", ["result", "cancel"])
async def test_due_waits_of_a_locked_workflow_hide_no_other(
    dsn: str, monkeypatch: pytest.MonkeyPatch, on_timeout: str
) -> None:
    """However many they are, and however long they have been due."""
    monkeypatch.setattr("baton.waits.expire.BATCH", 5)
    held = Baton()
    for number in range(12):
        held.wait(f"g{number}", any_of=["x"], timeout=0.05, on_timeout=on_timeout)
    other = gate(timeout=0.1)
    async with running(dsn, queues={}) as run:
        await run.insert(held)
        async with locked(dsn, "workflow", [held]), running(dsn, name="other") as engine:
            await naps(engine)
            await engine.insert(other)
            await all_end(engine, [other])
            assert set(await statuses(run.tables, held)) == {"pending"}


async def test_open_events_of_a_locked_workflow_hide_no_other(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baton.waits.spread.EVENTS", 3)
    names = [f"x{number}" for number in range(8)]
    held, other = gate(*names, correlation_key="k"), gate("x", correlation_key="k")
    async with running(dsn, queues={}) as run:
        await insert_all([held, other])
        connection = await asyncpg.connect(dsn)
        async with connection.transaction():
            for name in (*names, "x"):
                await send_event(None, name, correlation_key="k", conn=connection)
        async with locked(dsn, "workflow", [held]), running(dsn, name="other") as engine:
            await all_end(engine, [other])
            assert await statuses(run.tables, held) == ["pending"]
        async with running(dsn, name="third") as engine:
            await all_end(engine, [held])
        await connection.close()


@asynccontextmanager
async def refusing(run: Run, table: str, when: str, code: str) -> AsyncIterator[None]:
    """A trigger refuses to update some rows of a table, with any SQLSTATE."""
    await run.tables.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$"
    )
    await run.tables.execute(
        f"CREATE TRIGGER refuse BEFORE UPDATE ON baton.{table} FOR EACH ROW WHEN ({when})"
        " EXECUTE FUNCTION public.refuse()"
    )
    yield
    await run.tables.execute("DROP FUNCTION public.refuse() CASCADE")


@pytest.mark.parametrize("code", ["P0001", "AB123", "42P01", "55P03"])
@pytest.mark.parametrize(
    "table", ["workflow_nodes", "workflow_wait_groups", "workflows", "oban_jobs"]
)
async def test_a_refused_row_keeps_no_other_timer(
    dsn: str, caplog: pytest.LogCaptureFixture, table: str, code: str
) -> None:
    """One row among six; its wait is named in the log, once, and tried again later."""
    cursed, *others = [gate(timeout=0.05) for _ in range(6)]
    column = {"workflows": "id", "oban_jobs": "meta->>'workflow_id'"}.get(table, "workflow_id")
    when = f"OLD.{column} = '{cursed.workflow_id}'"
    async with running(dsn, queues={}) as run:
        await insert_all([*others[:3], cursed, *others[3:]])
        group: int = await run.tables.value(
            "SELECT id FROM baton.workflow_wait_groups WHERE workflow_id = $1",
            cursed.workflow_id,
        )
        with caplog.at_level(logging.WARNING, "baton"):
            async with (
                refusing(run, table, when, code),
                running(dsn, name="other") as engine,
            ):
                await all_end(engine, others)
                await naps(engine)
                assert await statuses(run.tables, cursed) == ["pending"]
        said = [r for r in caplog.records if f"wait group {group} " in r.message]
        assert len(said) == 1
        async with running(dsn, name="third") as engine:
            await all_end(engine, [cursed])


async def test_a_refused_wait_keeps_an_event_by_a_key_from_no_other(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    cursed, *others = [gate(correlation_key="k") for _ in range(6)]
    when = f"OLD.workflow_id = '{cursed.workflow_id}'"
    async with running(dsn) as run:
        await insert_all([*others[:3], cursed, *others[3:]])
        async with refusing(run, "workflow_nodes", when, "AB123"):
            await send_event(None, "x", correlation_key="k")
            await all_end(run, others)
            assert await statuses(run.tables, cursed) == ["pending"]
        await all_end(run, [cursed])
    assert len(run.events.of(WaitSettled)) == 6


async def test_a_payload_type_that_came_meanwhile_is_asked(dsn: str) -> None:
    """The event is recorded when nobody waits, and handed out when somebody with a schema does."""
    fits, unfit = (
        gate(correlation_key="k", payload_type=Decision),
        gate(correlation_key="k", payload_type=int),
    )
    async with running(dsn, queues={}) as run:
        connection = await asyncpg.connect(dsn)
        async with connection.transaction():
            await send_event(None, "x", GOOD, correlation_key="k", conn=connection)
            await insert_all([fits, unfit])
        await connection.close()
        async with running(dsn, name="other") as engine:
            await all_end(engine, [fits])
        assert await statuses(run.tables, unfit) == ["pending"]


async def test_the_sweep_finds_what_a_hand_left_behind(dsn: str) -> None:
    """An event that somebody put back into the mailbox of its key."""
    workflows = [gate("x", "y", correlation_key="k") for _ in range(3)]
    async with running(dsn, queues={}) as run:
        await insert_all(workflows)
        plugin = Plugin()

        async def looked() -> bool:
            await plugin.sweep(run.engine.database)
            asked = "SELECT count(wake_at) = 0 FROM baton.workflow_wait_groups"
            return bool(await run.tables.value(asked))

        await eventually(looked)
        for _ in range(2):
            await run.tables.execute(
                "INSERT INTO baton.workflow_events (correlation_key, name, payload, state)"
                " VALUES ('k', 'x', '1', 'kept')"
            )
        await plugin.sweep(run.engine.database)
        received = "SELECT count(*) FROM baton.workflow_wait_members WHERE state = 'received'"
        assert await run.tables.value(received) == 2
