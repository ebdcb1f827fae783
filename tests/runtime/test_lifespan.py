"""What an application sets up before an engine starts and takes down after it has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from baton import Engine
from baton.errors import EngineStateError, InvalidOptionError

DEADLINE = 30.0


class Noted:
    """A lifespan with a background task that notes what happens in which state of the engine."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.fail = asyncio.Event()

    @asynccontextmanager
    async def __call__(self, engine: Engine) -> AsyncIterator[None]:
        self.seen.append(("entered", engine.state))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._background)
            yield
            tasks.cancel_scope.cancel()
        self.seen.append(("left", engine.state))

    async def _background(self) -> None:
        await self.fail.wait()
        raise ValueError("the background task failed")


async def test_it_surrounds_the_engine(dsn: str) -> None:
    noted = Noted()
    async with Engine(dsn, lifespan=noted, queues={"default": 1}) as engine:
        assert noted.seen == [("entered", "starting")]
        # From another task than the one that entered it.
        await asyncio.create_task(engine.stop())
        assert noted.seen == [("entered", "starting"), ("left", "stopping")]


async def test_what_fails_inside_stops_the_engine(dsn: str) -> None:
    noted = Noted()
    engine = Engine(dsn, lifespan=noted)
    async with asyncio.timeout(DEADLINE):
        running = asyncio.create_task(engine.run())
        while engine.state != "running":
            await asyncio.sleep(0)
            assert not running.done()
        noted.fail.set()
        with pytest.raises(ExceptionGroup) as caught:
            await running
    assert [str(error) for error in caught.value.exceptions] == ["the background task failed"]
    assert engine.state == "stopped"


async def test_what_fails_at_the_start_is_raised(dsn: str) -> None:
    @asynccontextmanager
    async def broken(engine: Engine) -> AsyncIterator[None]:
        raise ValueError("no configuration")
        yield

    engine = Engine(dsn, lifespan=broken)
    with pytest.raises(ValueError, match="no configuration"):
        await engine.run()
    assert engine.state == "stopped"
    with pytest.raises(EngineStateError):
        await engine.run()


async def test_what_fails_at_the_end_is_raised_after_the_stop(dsn: str) -> None:
    @asynccontextmanager
    async def broken(engine: Engine) -> AsyncIterator[None]:
        yield
        raise ValueError("could not flush")

    engine = Engine(dsn, lifespan=broken)
    with pytest.raises(ValueError, match="could not flush"):
        async with engine:
            pass
    assert engine.state == "stopped"


async def test_a_failing_start_of_the_engine_leaves_it(empty_dsn: str) -> None:
    noted = Noted()
    with pytest.raises(Exception, match="baton migrate"):
        await Engine(empty_dsn, lifespan=noted).run()
    assert [what for what, _ in noted.seen] == ["entered", "left"]


@pytest.mark.parametrize("given", [1, "setup"])
def test_a_wrong_one_says_what(given: Any) -> None:
    with pytest.raises(InvalidOptionError, match="async context manager"):
        Engine("postgresql://a@h/x", lifespan=given)
