"""A database that is away for a while: a few short warnings, no traceback, then all goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from baton import Baton, Engine, Step, schema, worker
from baton.engine import EngineOptions
from baton.store.store import store_of
from baton.words.events import ConnectionLost, ConnectionRegained, StepExecuting
from support.restarting import RestartingServer, restarting_server
from support.running import fast, recorded
from support.waiting import DEADLINE, eventually

FAST = {"fsync": "off"}
LOOPS = {"stage", "rescue", "listen", "settle"}


@pytest.fixture
def crashing() -> Iterator[RestartingServer]:
    with restarting_server(FAST) as server:
        yield server


GO = asyncio.Event()


@worker
async def waits(step: Step) -> str:
    await GO.wait()
    return "done"


async def test_an_outage_is_told_briefly(
    crashing: RestartingServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    GO.clear()
    await schema.migrate(crashing.dsn)
    workflow = Baton().add("a", waits.new()).add("b", waits.new(), deps=["a"])
    often: EngineOptions = {
        "poll_interval": 0.1,
        "stage_interval": 0.1,
        "rescue_interval": 0.1,
        "heartbeat_interval": 0.1,
    }
    with recorded() as events:
        async with fast(crashing.dsn, **often) as engine:
            failed = counting(engine, monkeypatch)
            await workflow.insert(engine=engine)
            await events.until(StepExecuting, step="a")
            waiter = asyncio.create_task(engine.workflow(workflow.workflow_id).completion())
            capfd.readouterr()
            await crashing.crash()
            GO.set()
            for what in LOOPS:
                await events.until(ConnectionLost, what=what)

            async def long_enough() -> bool:
                return failed["stage_jobs"] >= 5 and failed["read_completions"] >= 10

            await eventually(long_enough)
            await crashing.start()
            completion = await asyncio.wait_for(waiter, DEADLINE)
            for what in LOOPS:
                await events.until(ConnectionRegained, what=what)
    assert completion.outcome == "completed"
    assert [record for record in caplog.records if record.exc_info] == []
    told = Counter(record.getMessage().partition(" failed")[0] for record in caplog.records)
    assert {"settling", *(f"engine default: {what}" for what in LOOPS - {"settle"})} <= set(told)
    assert max(told.values()) <= 2, told
    assert max(len(record.getMessage()) for record in caplog.records) < 200
    assert capfd.readouterr() == ("", "")


def counting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each query of the pool failed."""
    failed: Counter[str] = Counter()
    fetch = store_of(engine).fetch

    async def counted(query: str, *args: object) -> list[Any]:
        try:
            return await fetch(query, *args)
        except Exception:
            failed[query] += 1
            raise

    monkeypatch.setattr(store_of(engine), "fetch", counted)
    return failed
