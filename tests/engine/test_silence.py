"""What is asked to end while its database is silent ends in its time; more are a command."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from baton import Database, Engine
from baton.errors import EngineStateError, UnavailableError
from baton.runtime.loops import Loops
from baton.runtime.tasks import to_the_end
from outages.silence import SILENCE_SETTINGS, Ending, Silence, end_in_silence
from support.proxy import Proxy, proxied
from support.restarting import RestartingServer, restarting_server
from support.running import fast
from support.waiting import eventually


@pytest.fixture(scope="module")
def own_server() -> Iterator[RestartingServer]:
    with restarting_server(SILENCE_SETTINGS) as server:
        yield server


@pytest.mark.timeout(180)
@pytest.mark.parametrize("silence", Silence)
async def test_all_that_is_asked_to_end_does(
    own_server: RestartingServer, silence: Silence
) -> None:
    for ends in await end_in_silence(own_server, silence, Ending, 2, random.Random()):
        assert ends.faults == [], ends
        assert ends.ended == 2, ends


@asynccontextmanager
async def silenced(dsn: str) -> AsyncIterator[tuple[Proxy, Database]]:
    """A door that can swallow everything, and an open pool of one behind it."""
    async with proxied(dsn) as proxy:
        database = Database(proxy.dsn, pool_size=1)
        await database.open()
        try:
            yield proxy, database
        finally:
            await database.close(0.1)


@pytest.mark.parametrize("statement", ["in a transaction", "alone"])
async def test_a_cancelled_statement_is_a_cancellation(dsn: str, statement: str) -> None:
    """Not the time-out of what the driver does next: that would be tried again."""
    async with silenced(dsn) as (proxy, database):

        async def work() -> None:
            around = (
                database.transaction if statement == "in a transaction" else database.connection
            )
            async with around() as connection:
                proxy.swallowing = True
                await connection.execute("SELECT 1")

        task = asyncio.create_task(work())
        await _until_stuck(proxy)
        begun = monotonic()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert monotonic() - begun < 4
        # Its place in the pool is free again.
        proxy.swallowing = False
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_transaction_whose_statement_timed_out_waits_for_no_rollback(dsn: str) -> None:
    async with silenced(dsn) as (proxy, database):

        async def work() -> None:
            async with database.transaction() as connection:
                proxy.swallowing = True
                await connection.execute("SELECT 1", timeout=0.1)

        begun = monotonic()
        with pytest.raises(UnavailableError):
            await work()
        assert monotonic() - begun < 4


async def _until_stuck(proxy: Proxy) -> None:
    async def look() -> bool:
        return proxy.swallowed > 0

    await eventually(look)


async def test_a_swallowed_cancellation_ends_a_loop_all_the_same() -> None:
    """Some code between us and the server turns it into another error, or into none."""
    for swallows in (TimeoutError, None):
        loops, begun = Loops("test"), asyncio.Event()

        async def work(
            swallows: type[Exception] | None = swallows, begun: asyncio.Event = begun
        ) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallows is not None:
                    raise swallows from None

        loops.every(0.01, "work", work)
        await begun.wait()
        async with asyncio.timeout(5):
            await loops.stop(60.0)


async def test_a_loop_that_does_not_end_is_left_behind() -> None:
    loops, begun, leave = Loops("test"), asyncio.Event(), asyncio.Event()

    async def deaf() -> None:
        begun.set()
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                continue

    loops.every(0.01, "deaf", deaf)
    await begun.wait()
    begun_at = monotonic()
    await loops.stop(0.1)
    assert monotonic() - begun_at < 3
    leave.set()


async def test_work_done_to_its_end_is_cut_off_when_it_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("baton.runtime.tasks.CUT_OFF", 0.05)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(to_the_end(work()))
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    assert task.cancelled()
    assert ended.is_set()


async def test_an_engine_that_waits_for_its_database_to_start_can_be_stopped(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baton.engine.START_TIMEOUT", 0.2)
    async with proxied(dsn) as proxy:
        proxy.swallowing = True
        for start in ("run", "enter"):
            engine = fast(proxy.dsn, acquire_timeout=300.0)
            task = asyncio.create_task(engine.run() if start == "run" else _entered(engine))
            before = proxy.swallowed

            async def waits(before: int = before) -> bool:
                return proxy.swallowed > before

            await eventually(waits)
            async with asyncio.timeout(10):
                await engine.stop()
                await asyncio.wait([task])
            assert engine.state == "stopped"
            if start == "run":
                assert task.exception() is None
            else:
                assert isinstance(task.exception(), EngineStateError)


async def _entered(engine: Engine) -> None:
    async with engine:
        raise AssertionError("it cannot have started")
