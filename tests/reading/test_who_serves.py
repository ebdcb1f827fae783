"""Engines record which queues they serve: what nobody serves is told as such."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from baton import Baton, Engine, Step, worker
from baton.errors import CompletionTimeoutError
from baton.insights import Insights, Why
from baton.runtime import heartbeat
from baton.store.jobs import forget_engines, read_neighbours
from baton.store.store import Store
from support.looking import sight
from support.running import fast, running
from support.waiting import eventually

BEATS = 0.05


@worker(name="serves.works")
async def works(step: Step) -> int:
    return step.attempt


async def why(engine: Engine, workflow: Baton) -> Why:
    return await Insights(engine.database).why(workflow.workflow_id, "a")


async def late(engine: Engine, workflow: Baton) -> str:
    with pytest.raises(CompletionTimeoutError) as caught:
        await engine.workflow(workflow.workflow_id).completion(timeout=0)
    return caught.value.message.partition("step 'a' ")[2]


async def test_a_queue_that_no_live_engine_serves_is_told(dsn: str) -> None:
    workflow = Baton().add("a", works.new(), queue="io")
    async with running(dsn, queues={"default": 2}, heartbeat_interval=BEATS) as run:
        await run.insert(workflow)
        told = await why(run.engine, workflow)
        assert (told.reason, told.live_engines, told.serving_engines) == ("no_engine", 1, 0)
        assert told.sentence.endswith(", but none of the live engines (1) serves that queue")
        assert (await late(run.engine, workflow)).endswith(
            "which this engine does not serve (its queues: default) and no other live engine does"
        )
        (row,) = await Insights(run.engine.database).queues()
        assert (row.queue, row.engines, row.room) == ("io", 0, 0)
        async with fast(dsn, name="io", queues={"io": 1}):
            await run.end(workflow)


async def test_a_pause_and_another_limit_are_told_with_the_next_beat(dsn: str) -> None:
    workflow = Baton().add("a", works.new())
    async with running(dsn, queues={"default": 2}, heartbeat_interval=BEATS) as run:
        look = Insights(run.engine.database)
        (engine,) = await look.engines()
        assert engine.queues == {"default": 2}
        run.engine.queue("default").pause()
        await run.insert(workflow)

        async def sentence() -> str:
            found = await why(run.engine, workflow)
            return found.sentence if found.reason == "no_engine" else ""

        assert (await eventually(sentence)).endswith(
            ", but the live engines that serve that queue (1) have paused it"
        )

        async def at_rest() -> bool:
            # A look that began before the pause may still take the job, and gives it back.
            return "no live engine serves now" in await late(run.engine, workflow)

        await eventually(at_rest)
        run.engine.queue("default").scale(5)
        run.engine.queue("default").resume()
        await run.end(workflow)

        async def scaled() -> bool:
            return [row.queues for row in await look.engines()] == [{"default": 5}]

        await eventually(scaled)


async def test_how_much_the_engines_run_at_once(dsn: str) -> None:
    async with sight(dsn) as seen:
        for queues in ({"io": 3}, {"io": 4, "default": 9}, {"io": 0}, {"default": 1}):
            await seen.engine(queues=queues)
        await seen.engine(silent_for=3_600, queues={"io": 50})
        workflow = Baton().add("a", works.new(), queue="io")
        await seen.insert(workflow)
        (row,) = await seen.look.queues()
        assert (row.engines, row.room) == (2, 7)
        told = await seen.look.why(workflow.workflow_id, "a")
        assert (told.reason, told.live_engines, told.serving_engines) == ("queued", 4, 2)
        assert told.sentence.endswith("live engines that serve it: 2, for 7 jobs at once")


async def test_a_dead_engine_is_forgotten_when_its_jobs_are_rescued(dsn: str) -> None:
    async with sight(dsn) as seen:
        workflow = Baton().add("a", works.new(), queue="io")
        await seen.insert(workflow)
        holding = await seen.engine(silent_for=400)
        idle = await seen.engine(silent_for=400)
        young = await seen.engine(silent_for=200)
        me = await seen.engine()
        await seen.tables.change(
            workflow, "a", state="'executing'", attempted_by=f"'{{n,{holding},baton}}'"
        )
        async with open_database(dsn) as database:
            found = await read_neighbours(database, me, None, 60.0)
            assert {row.id for row in found if row.forgotten} == {str(holding), str(idle)}
            await forget_engines(database, [row.id for row in found])
        left = {row.engine_id for row in await seen.look.engines()}
        assert left == {holding, young, me}


@asynccontextmanager
async def open_database(dsn: str) -> AsyncIterator[Store]:
    database = Store(dsn)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def test_an_engine_whose_beats_were_held_back_says_so(
    dsn: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps the interpreter's lock lets no thread run, and the clock goes on."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 40.0
        return now

    async with running(dsn, heartbeat_interval=BEATS) as run:
        monkeypatch.setattr(heartbeat, "monotonic", clock)
        pattern = re.compile(r"no heartbeat for .* kept the interpreter's lock")

        async def warned() -> bool:
            return any(pattern.search(record.getMessage()) for record in caplog.records)

        with caplog.at_level(logging.WARNING, "baton"):
            await eventually(warned)
        monkeypatch.undo()
        assert run.engine.state == "running"
