"""How long after an event was sent the step that waited for it runs, beside ordinary steps.

    python -m benchmarks.waking --times 200 --runs 3

Prints JSON: medians in ms over the times of every run, and their ratios to the two ordinary steps:
`handed`, which the engine that settled its dependency runs in the same round trip, and `woken`,
whose queue another engine serves, so that a notification brings it. The sender is an engine of its
own as well, all in one process, and before every measurement nothing happens for 5 ms: the
dependency takes as long, and the event is sent as late, since a machine that just worked is faster
than one that begins.

The ordinary steps begin with the end of the dependency's body, the others with the call that sends.
They end as the body begins: of the dependent (`handed`, `woken`), of the step that waited and runs
again (`resumed`), of a gate's dependent (`gate`); `received` as the step that waited has the event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import uvloop

from baton import Baton, Engine, Step, insert_all, send_event, worker
from baton.schema import migrate
from benchmarks.server import Server, running_server

PAUSE = 0.005
WARM_UP = 20
ORDINARY = ("handed", "woken")

at = dict[str, float]()


@worker
async def first(step: Step) -> None:
    await asyncio.sleep(PAUSE)
    at["begun"] = perf_counter()


@worker
async def dependent(step: Step) -> None:
    at["ran"] = perf_counter()


@worker
async def waits(step: Step) -> None:
    at["ran"] = perf_counter()
    await step.wait_for("event")
    at["received"] = perf_counter()


def pair(queue: str) -> Baton:
    workflow = Baton().add("first", first.new())
    return workflow.add("dependent", dependent.new(), deps=["first"], queue=queue)


def gate() -> Baton:
    return Baton().wait("gate", any_of=["event"]).add("after", dependent.new(), deps=["gate"])


async def seconds(
    workflow: Baton, sender: Engine, engine: Engine, *, event: bool = True
) -> tuple[float, float]:
    """Until the body ran and until it had the event; without an event the second is 0."""
    at.clear()
    await insert_all([workflow], engine=sender)
    end = asyncio.create_task(engine.workflow(workflow.workflow_id).completion())
    if event:
        while not await sender.workflow(workflow.workflow_id).waiting_steps():  # noqa: ASYNC110
            await asyncio.sleep(PAUSE)
        await asyncio.sleep(PAUSE)
        at["begun"] = perf_counter()
        await send_event(workflow.workflow_id, "event", engine=sender)
    await end
    return at["ran"] - at["begun"], at.get("received", at["begun"]) - at["begun"]


async def one_run(dsn: str, times: int) -> Mapping[str, float]:
    """Medians in ms."""
    await migrate(dsn)
    taken = defaultdict[str, list[float]](list)
    async with (
        Engine(dsn, name="sender") as sender,
        Engine(dsn, queues={"default": 10}) as engine,
        Engine(dsn, name="elsewhere", queues={"elsewhere": 10}),
    ):
        for _ in range(WARM_UP + times):
            for kind, workflow in (("handed", pair("default")), ("woken", pair("elsewhere"))):
                taken[kind].append((await seconds(workflow, sender, engine, event=False))[0])
            resumed, received = await seconds(Baton().add("waits", waits.new()), sender, engine)
            taken["resumed"].append(resumed)
            taken["received"].append(received)
            taken["gate"].append((await seconds(gate(), sender, engine))[0])
    return {kind: statistics.median(found[WARM_UP:]) * 1e3 for kind, found in taken.items()}


def measure(server: Server, times: int, runs: int) -> dict[str, Any]:
    found = [uvloop.run(one_run(server.fresh_database(), times)) for _ in range(runs)]
    return {
        "times": times,
        "milliseconds": {kind: [run[kind] for run in found] for kind in found[0]},
        **{f"ratio_to_{ordinary}": ratios(found, ordinary) for ordinary in ORDINARY},
    }


def ratios(found: Sequence[Mapping[str, float]], ordinary: str) -> dict[str, Any]:
    of_runs = {
        kind: [run[kind] / run[ordinary] for run in found]
        for kind in found[0]
        if kind not in ORDINARY
    }
    return {
        kind: {"median": statistics.median(rounds), "rounds": rounds}
        for kind, rounds in of_runs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waking", description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with running_server() as server:
        print(json.dumps(measure(server, arguments.times, arguments.runs), indent=1))


if __name__ == "__main__":
    main()
