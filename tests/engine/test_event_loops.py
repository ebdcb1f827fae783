"""An engine that is used from another event loop says so, whatever is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from baton import Baton, Engine, send_event
from baton.errors import EventLoopError, NoEngineError
from support.public_calls import CALLS, LOGS_ITS_FAILURES, Scene, opened_scene
from support.running import fast

OF_THEIR_OWN = {"current_version", "migrate", "rollback", "verify"}
"""They connect by themselves, wherever they are called."""


@pytest.fixture
async def scene(dsn: str) -> AsyncIterator[Scene]:
    async with opened_scene(dsn) as made:
        yield made


async def elsewhere(call: Callable[[], Awaitable[Any]]) -> BaseException | None:
    """What a call raises in the event loop of another thread."""

    async def inner() -> Any:
        return await call()

    def other() -> BaseException | None:
        try:
            asyncio.run(inner())
        except BaseException as error:
            return error
        return None

    return await asyncio.to_thread(other)


async def test_every_call_names_the_event_loop(scene: Scene) -> None:
    found = {
        name: await elsewhere(lambda call=call: call(scene))  # type: ignore[misc]
        for name, call in CALLS.items()
        if name not in OF_THEIR_OWN
    }
    wrong = {
        name: error
        for name, error in found.items()
        if not (
            error is None
            if name in LOGS_ITS_FAILURES - {"Plugin.sweep"}
            else isinstance(error, EventLoopError)
        )
    }
    assert wrong == {}
    assert "run_coroutine_threadsafe" in str(found["Baton.insert"])
    # Nothing of it has hurt the engine.
    await Baton().wait("gate", any_of=["x"]).insert(engine=scene.engine)


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.wake("default"),
        lambda engine: engine.queue("default").resume(),
        lambda engine: engine.queue("default").scale(3),
    ],
    ids=["wake", "resume", "scale"],
)
async def test_calls_that_do_not_wait_name_it_too(dsn: str, call: Callable[[Engine], None]) -> None:
    async with fast(dsn) as engine:

        async def inner() -> None:
            call(engine)

        assert isinstance(await elsewhere(inner), EventLoopError)
        assert isinstance(await elsewhere(engine.stop), EventLoopError)
        assert engine.state == "running"
        # A thread without any loop is another place as well.
        with pytest.raises(EventLoopError):
            await asyncio.to_thread(call, engine)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Baton().wait("gate", any_of=["x"]).insert(),
        lambda: send_event(None, "x", correlation_key="k"),
        lambda: Baton().completion(),
    ],
    ids=["insert", "send_event", "completion"],
)
async def test_without_an_engine_here_the_one_elsewhere_is_named(
    dsn: str, call: Callable[[], Awaitable[Any]]
) -> None:
    async with fast(dsn, name="far"):
        error = await elsewhere(call)
    assert isinstance(error, NoEngineError)
    assert error.elsewhere == ("far",)
    assert "in another event loop of this process 'far' runs" in str(error)
    lonely = await elsewhere(call)
    assert isinstance(lonely, NoEngineError)
    assert "another event loop" not in str(lonely)
