"""What an engine raises by its life cycle and its settings."""

from __future__ import annotations

from collections.abc import Iterable

from baton.words.base_error import BatonError


class EngineError(BatonError):
    """The life cycle or the settings of an engine."""


class NoEngineError(EngineError):
    """No engine of that name runs here, or several do, on several databases."""

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
        missing = f"no engine named {name!r} is running here"
        advice = "use 'async with Engine(dsn): …', or pass engine=… or conn=…"
        if name in running:
            missing = f"{running.count(name)} engines named {name!r} run here, on several databases"
            advice = "pass the engine itself, engine=…, or give each a name of its own"
        elif running:
            own = running.count(running[0]) == 1
            advice = f"running are {listed}: pass engine={repr(running[0]) if own else '…'}"
        elif elsewhere:
            advice = (
                f"in another event loop of this process {', '.join(map(repr, elsewhere))} runs: "
                "call it there, with asyncio.run_coroutine_threadsafe(…, loop), or start an engine "
                "in this loop"
            )
        super().__init__(
            f"{missing}; {advice}",
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
