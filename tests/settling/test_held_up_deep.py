"""A lock anywhere in what a settlement touches keeps back only what needs it, and is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from statistics import median
from time import monotonic
from typing import Any

import asyncpg
import pytest

from baton import Baton, Cancel, Step, insert_all, schema, send_event, worker
from baton.testing import embedded_postgres
from baton.words.events import StepExecuting
from baton.workers.registry import held_spec
from support.databases import create_database
from support.gates import Gate
from support.running import Run, running
from support.servers import SETTINGS
from support.waiting import eventually

go = Gate()


@worker
async def fails(step: Step) -> Cancel:
    await go.wait()
    return Cancel("no")


@worker
async def ends(step: Step) -> None:
    await go.wait()


@worker
async def quick(step: Step) -> None:
    return None


def failing_chain() -> Baton:
    chain = Baton().add("a", fails.new())
    return chain.add("b", quick.new(), deps=["a"]).add("c", quick.new(), deps=["b"])


def keyed() -> Baton:
    workflow = Baton().add("a", ends.new())
    return workflow.wait("b", any_of=["paid"], correlation_key="k", deps=["a"])


def counted() -> Baton:
    return Baton().add("a", ends.new())


async def lock_two_below(connection: asyncpg.Connection[Any], victim: Baton) -> None:
    await connection.execute(
        "SELECT FROM baton.oban_jobs WHERE id = (SELECT job_id FROM baton.workflow_nodes"
        " WHERE workflow_id = $1 AND name = 'c') FOR UPDATE",
        victim.workflow_id,
    )


async def lock_workflow(connection: asyncpg.Connection[Any], victim: Baton) -> None:
    await connection.execute(
        "SELECT FROM baton.workflows WHERE id = $1 FOR UPDATE", victim.workflow_id
    )


async def lock_key(connection: asyncpg.Connection[Any], victim: Baton) -> None:
    await send_event(None, "paid", {}, correlation_key="k", conn=connection)


async def lock_counter(connection: asyncpg.Connection[Any], victim: Baton) -> None:
    await connection.execute("SELECT FROM public.ended FOR UPDATE")


# What a trigger of the application needs, and Baton knows nothing of.
COUNTER = f"""
CREATE TABLE public.ended AS SELECT 0 AS jobs;
CREATE FUNCTION public.count_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.ended SET jobs = jobs + 1;
    RETURN NEW;
END
$$;
CREATE TRIGGER count_ended BEFORE UPDATE ON baton.oban_jobs FOR EACH ROW
WHEN (NEW.state = 'completed' AND NEW.worker = '{held_spec(ends).name}')
EXECUTE FUNCTION public.count_ended()
"""
SCENES: dict[str, tuple[Callable[[], Baton], Callable[..., Any]]] = {
    "its workflow": (counted, lock_workflow),
    "a job two levels below": (failing_chain, lock_two_below),
    "a correlation key": (keyed, lock_key),
    "a row of a trigger": (counted, lock_counter),
}

# An open transaction that sent an event by a key need not hold up who waits with the key.
KEPT_BACK = set(SCENES) - {"a correlation key"}


@asynccontextmanager
async def holding(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "somebody"})
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def latencies(run: Run, count: int) -> list[float]:
    """Seconds that unrelated workflows take from their insertion to their end."""
    taken: list[float] = []
    for _ in range(count):
        begun = monotonic()
        await run.completed(Baton().add("a", quick.new()))
        taken.append(monotonic() - begun)
    return taken


@pytest.mark.parametrize("settlers", [1, 2])
@pytest.mark.parametrize("scene", SCENES)
async def test_others_do_not_wait(
    dsn: str, scene: str, settlers: int, caplog: pytest.LogCaptureFixture
) -> None:
    make, lock = SCENES[scene]
    victims = [make() for _ in range(3)]
    async with running(dsn, queues={"default": 30}, settlers=settlers) as run:
        await run.tables.execute(COUNTER)
        await insert_all(victims, engine=run.engine)
        await run.events.until(StepExecuting, len(victims))
        async with holding(dsn) as connection:
            for victim in victims:
                await lock(connection, victim)
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            go.set()
            if scene in KEPT_BACK:
                await run.tables.blocked(1)
            taken = await latencies(run, 25)
            assert median(taken) < 1.0, taken
            if scene in KEPT_BACK:
                await eventually(lambda: _names(caplog, f"process {pid} (application somebody"))
                assert len(_warnings(caplog)) == 1
                for victim in victims:
                    assert (await run.tables.step(victim, "a")).settled is None
        for victim in victims:
            await run.tables.until(victim, "a", "completed", "cancelled")
            assert len(run.events.of(StepExecuting, workflow_id=victim.workflow_id, step="a")) == 1
            if scene == "a job two levels below":
                assert (await run.end(victim)).failed_steps == ("a", "b", "c")


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "locks held by others" in r.getMessage()]


async def _names(caplog: pytest.LogCaptureFixture, holder: str) -> bool:
    return any(holder in message for message in _warnings(caplog))


WHOLE_TABLE = "LOCK TABLE baton.workflow_nodes IN SHARE ROW EXCLUSIVE MODE"


@pytest.fixture(scope="module")
def preparing_server() -> Any:
    with embedded_postgres(settings={**SETTINGS, "max_prepared_transactions": "5"}) as server:
        yield server


@pytest.mark.parametrize("lock", ["SELECT FROM baton.workflows FOR UPDATE", WHOLE_TABLE])
async def test_a_prepared_transaction_is_named(
    preparing_server: str, lock: str, caplog: pytest.LogCaptureFixture
) -> None:
    dsn = await create_database(preparing_server)
    await schema.migrate(dsn)
    victim = counted()
    async with running(dsn) as run:
        await run.insert(victim)
        await run.events.until(StepExecuting)
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("BEGIN")
            await connection.execute(lock)
            await connection.execute("PREPARE TRANSACTION 'forgotten one'")
            go.set()
            await eventually(lambda: _names(caplog, "prepared transaction forgotten one"))
            assert len(_warnings(caplog)) == 1
            await connection.execute("ROLLBACK PREPARED 'forgotten one'")
        finally:
            await connection.close()
        assert (await run.end(victim)).outcome == "completed"
