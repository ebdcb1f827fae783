"""One of two engine processes is killed, frozen or told to stop in the middle of its steps."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Any, TypeAlias

import asyncpg
import pytest

from baton import insert_all
from baton.engine import EngineOptions
from support.programs import program
from two_engines import truth, watching
from two_engines.checker import faults
from two_engines.diamonds import SOUND, diamond
from two_engines.graphs import Expected, Graph
from two_engines.process import engine_process
from two_engines.run import finished, heard, listening

RESCUE_AFTER = 1.8
RESCUE_INTERVAL = 0.3
SLACK = 10.0

OPTIONS: EngineOptions = {
    "queues": {"default": 6},
    "heartbeat_interval": 0.6,
    "rescue_after": RESCUE_AFTER,
    "rescue_interval": RESCUE_INTERVAL,
    "stage_interval": 0.1,
    "poll_interval": 0.5,
    "shutdown_grace": 0.3,
    "interrupt_grace": 1.0,
}

Connection: TypeAlias = "asyncpg.Connection[Any]"


@pytest.fixture
async def tables(dsn: str) -> AsyncIterator[Connection]:
    await truth.create(dsn)
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def insert(
    tables: Connection, diamonds: Sequence[Graph], *, seconds: float, max_attempts: int = 3
) -> list[Expected]:
    workflows = [d.workflow(seconds, max_attempts) for d in diamonds]
    await insert_all(workflows, conn=tables)
    pairs = zip(workflows, diamonds, strict=True)
    return [Expected(workflow.workflow_id, d) for workflow, d in pairs]


async def ended(tables: Connection, expected: Sequence[Expected], deadline: float) -> None:
    await finished(tables, [one.workflow_id for one in expected], deadline)


async def test_what_a_killed_process_left_is_finished(dsn: str, tables: Connection) -> None:
    """Its steps had one attempt each: the rescue gives it back."""
    async with (
        listening(dsn) as notified,
        engine_process(dsn, **OPTIONS) as victim,
        engine_process(dsn, **OPTIONS),
    ):
        expected = await insert(tables, [SOUND] * 12, seconds=0.25, max_attempts=1)
        await watching.busy(tables, victim.pid, count=3)
        # As on another machine, where nobody can see that the process has ended: its silence tells.
        await tables.execute("UPDATE baton.baton_engines SET place = NULL")
        await victim.kill()
        killed = monotonic()
        left = await watching.open_steps(tables, victim.pid)
        await watching.settled(tables, left, RESCUE_AFTER + RESCUE_INTERVAL + SLACK)
        assert monotonic() - killed > RESCUE_AFTER - OPTIONS["heartbeat_interval"]
        await ended(tables, expected, deadline=SLACK)
        await heard(notified, [one.workflow_id for one in expected])
    assert left
    assert victim.pid not in (await watching.recorded_by(tables, left)).values()
    assert set((await watching.rescues(tables, left)).values()) == {1}
    assert await faults(tables, expected, notified, calm=False) == []


async def test_a_process_killed_again_and_again(dsn: str, tables: Connection) -> None:
    """Diamonds of mixed fate, and a victim that is started anew each time."""
    expected: list[Expected] = []
    chance = random.Random(7)
    async with listening(dsn) as notified, engine_process(dsn, **OPTIONS):
        for _ in range(3):
            async with engine_process(dsn, **OPTIONS) as victim:
                fates = [diamond(chance) for _ in range(15)]
                expected += await insert(tables, fates, seconds=0.1)
                await watching.busy(tables, victim.pid, count=2)
                await victim.kill()
        await ended(tables, expected, deadline=RESCUE_AFTER + RESCUE_INTERVAL + SLACK)
        await heard(notified, [one.workflow_id for one in expected])
    assert await faults(tables, expected, notified, calm=False) == []


async def test_what_a_frozen_process_says_later_is_dropped(dsn: str, tables: Connection) -> None:
    async with listening(dsn) as notified, engine_process(dsn, **OPTIONS) as victim:
        async with engine_process(dsn, **OPTIONS):
            expected = await insert(tables, [SOUND] * 10, seconds=0.4, max_attempts=1)
            await watching.busy(tables, victim.pid, count=3)
            victim.signal(signal.SIGSTOP)
            left = await watching.open_steps(tables, victim.pid)
            await watching.settled(tables, left, RESCUE_AFTER + RESCUE_INTERVAL + SLACK)
            victim.signal(signal.SIGCONT)
            await ended(tables, expected, deadline=SLACK)
        # Alone now, it has to be as good as before.
        expected += await insert(tables, [SOUND] * 3, seconds=0.0, max_attempts=1)
        await ended(tables, expected, deadline=SLACK)
        await heard(notified, [one.workflow_id for one in expected])
        report = await victim.stop()
    assert left
    assert report["fenced"] >= len(left)
    assert victim.pid not in (await watching.recorded_by(tables, left)).values()
    assert await faults(tables, expected, notified, calm=False) == []


async def test_a_stopped_process_leaves_nothing_to_rescue(dsn: str, tables: Connection) -> None:
    """Its steps are longer than its grace: they go back untouched, at once."""
    long: EngineOptions = {**OPTIONS, "heartbeat_interval": 5.0, "rescue_after": 120.0}
    async with listening(dsn) as notified:
        async with engine_process(dsn, **long) as leaving:
            expected = await insert(tables, [SOUND] * 6, seconds=1.0, max_attempts=1)
            await watching.busy(tables, leaving.pid, count=3)
            await leaving.terminate()
        left = await watching.open_steps(tables, leaving.pid)
        async with engine_process(dsn, **long):
            await ended(tables, expected, deadline=3 * SLACK)
            await heard(notified, [one.workflow_id for one in expected])
    assert left
    assert set((await watching.rescues(tables, left)).values()) == {0}
    assert await tables.fetchval("SELECT count(*) FROM baton.baton_engines") == 0
    assert await faults(tables, expected, notified, calm=False) == []


def worker_command(dsn: str, options: EngineOptions) -> AbstractAsyncContextManager[Process]:
    """`baton worker` with an engine of the same steps."""
    return program(
        *("-m", "baton.cli", "worker", "two_engines.serving:engine"),
        stdout=PIPE,
        BATON_DATABASE_URL=dsn,
        ENGINE_OPTIONS=json.dumps(options),
    )


async def test_sigterm_ends_the_worker_command(dsn: str, tables: Connection) -> None:
    """With a grace that suffices, what runs is finished and nothing is performed twice."""
    patient: EngineOptions = {**OPTIONS, "shutdown_grace": 20.0}
    async with listening(dsn) as notified, worker_command(dsn, patient) as command:
        expected = await insert(tables, [SOUND] * 3, seconds=0.5)
        running = await watching.busy(tables, command.pid, count=3)
        command.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SLACK):
            assert await command.wait() == 0
        assert await watching.open_steps(tables, command.pid) == []
        recorded = await watching.recorded_by(tables, running)
        assert set(recorded.values()) == {command.pid}
        async with engine_process(dsn, **patient):
            await ended(tables, expected, deadline=SLACK)
            await heard(notified, [one.workflow_id for one in expected])
    assert (
        await tables.fetchval(
            "SELECT max(count) FROM (SELECT count(*) FROM public.ledger"
            " WHERE mark = 'start' GROUP BY job_id) AS starts"
        )
        == 1
    )
    assert await faults(tables, expected, notified, calm=False) == []
