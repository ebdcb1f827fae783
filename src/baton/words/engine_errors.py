"""What an engine raises by its life cycle and its settings."""

from __future__ import annotations

from collections.abc import Iterable

from baton.words.base_error import BatonError


class EngineError(BatonError):
    """The life cycle or the settings of an engine."""


class NoEngineError(EngineError):
    name: str
    running: tuple[str, ...]
    elsewhere: tuple[str, ...]

    def __init__(
        self,
        name: str = "default",
        running: Iterable[str] = (),
        elsewhere: Iterable[str] = (),
    ) -> None:
        running, elsewhere = tuple(running), tuple(elsewhere)
        listed = ", ".join(map(repr, running))
        advice = "use 'async with Engine(dsn): …', or pass engine=… or conn=…"
        if running:
            advice = f"running are {listed}: pass engine={running[0]!r}"
        elif elsewhere:
            advice = (
                f"in another event loop of this process {', '.join(map(repr, elsewhere))} runs: "
                "call it there, with asyncio.run_coroutine_threadsafe(…, loop), or start an engine "
                "in this loop"
            )
        super().__init__(
            f"no engine named {name!r} is running here; {advice}",
            name=name,
            running=running,
            elsewhere=elsewhere,
        )


class EventLoopError(EngineError):
    what: str

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was started in another event loop, to which its connections belong: call it "
            "there, with asyncio.run_coroutine_threadsafe(…, loop), or start another one in this "
            "loop",
            what=what,
        )


class EngineStateError(EngineError):
    state: str
    expected: str
    call: str

    def __init__(self, state: str, expected: str, call: str = "this call") -> None:
        early = expected == "running" and state in ("new", "starting")
        advice = "use `async with engine`" if early else "an engine runs once, make another one"
        if state == "forked":
            advice = "it was started before this process was forked, make another one here"
        text = f"{call} needs a {expected} engine, this one is {state}: {advice}"
        super().__init__(text, state=state, expected=expected, call=call)
