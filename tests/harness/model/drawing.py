"""What is drawn by chance: graphs, waits, crashes; and how a graph is built with the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from baton import Baton
from model.calls import Crash
from model.state import NewStep, Wait
from model.world import act

picks = st.integers(0, 11)
crashes = st.none() | st.builds(Crash, st.integers(1, 3), st.booleans())
names = st.sampled_from("xyz")
keys = st.sampled_from("kl")
waits = st.builds(
    lambda listed, need, timeout, key, default: Wait(
        listed,
        min(need, len(listed)),
        timeout,
        "result",
        key,
        default and timeout is not None,
    ),
    st.sampled_from([("x",), ("x", "y"), ("y", "z"), ("x", "y", "z")]),
    st.integers(1, 3),
    st.sampled_from([None, 3600.0, 3600.0, 0.0]),
    st.none() | keys,
    st.booleans(),
)


@st.composite
def graphs(draw: st.DrawFn) -> list[NewStep]:
    steps: list[NewStep] = []
    for place in range(draw(st.integers(1, 5))):
        chosen = draw(st.integers(0, 2**place - 1))
        deps = tuple(f"s{n}" for n in range(place) if chosen >> n & 1)
        flags = draw(st.integers(0, 7))
        wait = draw(st.none() | st.none() | waits)
        more = _more(draw, deps, steps, gate=wait is not None)
        if wait is not None and wait.timeout is not None and not wait.default:
            ending = draw(st.sampled_from(["result", "cancel", "discard"]))
            wait = Wait(wait.names, wait.need, wait.timeout, ending, wait.key)
        kind = draw(st.integers(0, 15)) if wait is None else 0
        steps.append(
            NewStep(
                f"s{place}",
                more.pop("deps", deps),
                bool(flags & 1) or "on_failure" in more,
                bool(flags & 2) or "on_failure" in more,
                flags & 4 > 0,
                max_attempts=20 if wait else 1 + kind % 2,
                priority=kind >> 1 & 1,
                queue="baton_waits" if wait else ("default", "io")[kind >> 2 & 1],
                later=kind >> 3 & kind & 1 == 1,
                wait=wait,
                **more,
            )
        )
    return steps


MORE = ("", "", "", "", "", "when", "unless", "on_failure", "any_of", "any_of", "any_of when")


def _more(
    draw: st.DrawFn, deps: tuple[str, ...], steps: Sequence[NewStep], *, gate: bool
) -> dict[str, Any]:
    """Now and then a condition, or alternatives, or both."""
    options = draw(st.sampled_from(MORE)).split() if deps else []
    more: dict[str, Any] = {}
    if "any_of" in options and not gate:
        needed = draw(st.integers(0, len(deps) - 1))
        more["deps"], more["any_of"] = deps[:needed], deps[needed:]
        deps = more["deps"]
    if "on_failure" in options:
        more["on_failure"] = True
    waiting = {step.name for step in steps if step.wait is not None}
    for option in [one for one in ("when", "unless") if one in options and deps]:
        named = deps[-1:] if draw(st.booleans()) else deps
        more[option] = {
            name: {"outcome": "events"} if name in waiting else {"odd": draw(st.integers(0, 1))}
            for name in named
        }
    return more


def built(number: int, steps: Sequence[NewStep], *, deadline: bool = False) -> Baton:
    workflow = Baton(workflow_id=UUID(int=number), deadline=3600 if deadline else None)
    for new in steps:
        flags: dict[str, Any] = {
            "ignore_cancelled": new.ignore_cancelled,
            "ignore_discarded": new.ignore_discarded,
            "run_when_skipped": new.run_when_skipped,
            "when": new.when or None,
            "unless": new.unless or None,
            "on_failure": new.on_failure,
        }
        if new.wait is None:
            workflow.add(
                new.name,
                act.new(),
                deps=new.deps,
                any_of=new.any_of or None,
                max_attempts=new.max_attempts,
                priority=new.priority,
                queue=new.queue,
                schedule_in=3600 if new.later else None,
                **flags,
            )
        else:
            options: dict[str, Any] = {"timeout": new.wait.timeout, "correlation_key": new.wait.key}
            if new.wait.default:
                options["default"] = None
            workflow.wait(
                new.name,
                at_least=(new.wait.need, new.wait.names),
                on_timeout=new.wait.on_timeout,
                deps=new.deps,
                **flags,
                **options,
            )
    return workflow
