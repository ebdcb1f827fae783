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
        if wait is not None and wait.timeout is not None and not wait.default:
            ending = draw(st.sampled_from(["result", "cancel", "discard"]))
            wait = Wait(wait.names, wait.need, wait.timeout, ending, wait.key)
        kind = draw(st.integers(0, 15)) if wait is None else 0
        steps.append(
            NewStep(
                f"s{place}",
                deps,
                bool(flags & 1),
                bool(flags & 2),
                flags & 4 > 0,
                max_attempts=20 if wait else 1 + kind % 2,
                priority=kind >> 1 & 1,
                queue="baton_waits" if wait else ("default", "io")[kind >> 2 & 1],
                later=kind >> 3 & kind & 1 == 1,
                wait=wait,
            )
        )
    return steps


def built(number: int, steps: Sequence[NewStep], *, deadline: bool = False) -> Baton:
    workflow = Baton(workflow_id=UUID(int=number), deadline=3600 if deadline else None)
    for new in steps:
        flags: dict[str, Any] = {
            "ignore_cancelled": new.ignore_cancelled,
            "ignore_discarded": new.ignore_discarded,
            "run_when_skipped": new.run_when_skipped,
        }
        if new.wait is None:
            workflow.add(
                new.name,
                act.new(),
                deps=new.deps,
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
