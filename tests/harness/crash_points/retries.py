"""What is broken of retries: of what has ended, of what runs, of what waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from baton import Baton
from crash_points.place import Place
from crash_points.runs import acted
from crash_points.waits import BOTH, Scenario
from support.running import fast
from two_engines.graphs import Graph
from two_engines.run import heard
from two_engines.workers import Awaited, Plan

MENDED = Graph(
    {"a": (), "b": ("a",), "c": ("b",)},
    {"a": Plan.SUCCEED, "b": Plan.MEND, "c": Plan.SUCCEED},
)


async def ended(place: Place, workflow: Baton, *events: str) -> None:
    """A workflow's first run ends, and is told of."""
    await place.insert(workflow)
    for name in events:
        await place.send(workflow.workflow_id, name)
    async with fast(place.dsn):
        await place.finished()
    await heard(place.notified, [workflow.workflow_id])


def _retrying(
    place: Place, workflow: Baton, *events: str, **options: Any
) -> Callable[[str], Awaitable[None]]:
    """What retries a workflow, unless that has been done, and then sends events."""
    acted(place, workflow, retry=1)
    done = "SELECT EXISTS (SELECT FROM baton.baton_actions WHERE workflow_id = $1)"

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            if not await place.tables.fetchval(done, workflow.workflow_id):
                await client.retry(workflow.workflow_id, options)
        for name in events:
            await place.send(workflow.workflow_id, name)

    place.again = do
    return do


async def retry_what_ended(place: Place) -> None:
    """What failed is begun anew, and whoever asked for it performs it."""
    workflow = place.expect(MENDED, runs=2, again="b")
    await ended(place, workflow)
    _retrying(place, workflow)
    async with place.engine() as engine:
        await place.proxy.quiet(0.03)
        place.arm()
        await engine.retry(workflow.workflow_id, {})
        await place.finished()


async def retry_what_was_never_announced(place: Place) -> None:
    """Its first end comes first."""
    workflow = place.expect(MENDED, runs=2, again="ab")
    await ended(place, workflow)
    await place.tables.execute("DELETE FROM baton.workflow_completions")
    place.notified.clear()
    await _retrying(place, workflow, mode="all")(place.proxy.dsn)


async def retry_what_was_deleted(place: Place) -> None:
    """Its jobs are made again."""
    workflow = place.expect(MENDED, runs=2, again="ab")
    await ended(place, workflow)
    await place.tables.execute("DELETE FROM baton.oban_jobs")
    await _retrying(place, workflow, steps=["a"])(place.proxy.dsn)


async def retry_what_runs(place: Place) -> None:
    """It is interrupted, and performed again in the same run."""
    graph = Graph({"a": (), "b": ("a",)}, {"a": Plan.HANG, "b": Plan.SUCCEED})
    workflow = place.expect(graph, again="a")
    options = {"steps": ["a"], "interrupt": True}
    _retrying(place, workflow, **options)
    async with place.engine() as engine:
        await place.insert(workflow)
        await place.performing(workflow.workflow_id, "a")
        await place.proxy.quiet(0.03)
        place.arm()
        await engine.retry(workflow.workflow_id, options)
        await place.finished()


async def retry_a_wait(place: Place) -> None:
    """A wait step, which had its events, waits for others; one that was never armed is."""
    graph = Graph(
        {"g": (), "b": ("g",), "h": ("b",), "c": ("h",)},
        {"g": Plan.SUCCEED, "b": Plan.MEND, "h": Plan.SUCCEED, "c": Plan.SUCCEED},
        gates={"g": BOTH, "h": Awaited(("z",))},
    )
    workflow = place.expect(graph, runs=2, again="b")
    await ended(place, workflow, "x", "y")
    await _retrying(place, workflow, "y", "z", "x", steps=["g"])(place.proxy.dsn)


RETRIES: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        retry_what_ended,
        retry_what_was_never_announced,
        retry_what_was_deleted,
        retry_what_runs,
        retry_a_wait,
    )
}
