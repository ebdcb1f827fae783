"""What is broken of what people do to a workflow that runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from baton import Baton
from baton.errors import StepSettledError, WorkflowFinishedError
from crash_points.place import DEADLINE, Place
from crash_points.waits import Scenario, waiting
from support.running import fast
from support.waiting import eventually
from two_engines.graphs import Graph
from two_engines.workers import Awaited, Plan


def acted(place: Place, workflow: Baton, **counts: int) -> None:
    """Each of these actions has to be recorded so often."""

    async def judge() -> list[str]:
        rows = await place.tables.fetch(
            "SELECT action, count(*)::integer AS count FROM baton.baton_actions"
            " WHERE workflow_id = $1 GROUP BY action",
            workflow.workflow_id,
        )
        found = {row["action"]: row["count"] for row in rows}
        return [] if found == counts else [f"actions {found}, not {counts}"]

    place.judges.append(judge)


async def cancel_step(place: Place) -> None:
    """A step that runs is cancelled; what is below follows, down to one that forgives."""
    graph = Graph(
        {"a": (), "b": ("a",), "c": ("b",)},
        {"a": Plan.HANG, "b": Plan.SUCCEED, "c": Plan.SUCCEED},
        ignore_cancelled=frozenset("c"),
    )
    workflow = place.expect(graph, cancelled=True)
    acted(place, workflow, cancel_step=1)

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            with suppress(StepSettledError):
                await client.act(workflow.workflow_id, "cancel_step", "a")

    place.again = do
    async with place.engine() as engine:
        await place.insert(workflow)
        await place.begun(1)
        await place.proxy.quiet(0.03)
        place.arm()
        with suppress(StepSettledError):
            await engine.act(workflow.workflow_id, "cancel_step", "a")
        await place.finished()


async def cancel_step_that_waits(place: Place) -> None:
    """The step sleeps until an event comes."""
    workflow = place.expect(waiting(Awaited(("x",))), cancelled=True)
    acted(place, workflow, cancel_step=1)

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            with suppress(StepSettledError):
                await client.act(workflow.workflow_id, "cancel_step", "s")

    place.again = do
    async with place.engine():
        await place.insert(workflow)
        await place.waiting(1)
        await place.proxy.quiet(0.03)
    await do(place.proxy.dsn)


async def pause_and_resume(place: Place) -> None:
    """A workflow is paused while its first step runs, which then fails, and goes on after that.
    Where the way to the pause is long, it comes when that has failed, or a later step has ended.
    """
    graph = Graph(
        {"a": (), "b": ("a",), "g": ("a",), "later": ()},
        {"a": Plan.RETRY, "b": Plan.SUCCEED, "g": Plan.SUCCEED, "later": Plan.SUCCEED},
        gates={"g": Awaited(("x",))},
    )
    workflow = place.expect(graph, seconds=0.3)
    acted(place, workflow, pause=1, resume=1)

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            done = await place.tables.fetchval(
                "SELECT count(*) FROM baton.baton_actions WHERE action = 'pause'"
            )
            if not done:
                await client.act(workflow.workflow_id, "pause")
            with suppress(WorkflowFinishedError):
                await client.act(workflow.workflow_id, "resume")
        await place.send(workflow.workflow_id, "x")

    place.again = do
    async with place.engine(queues={"default": 1}, stage_interval=0.1) as engine:
        await place.insert(workflow)
        await place.begun(1)
        await place.proxy.quiet(0.03)
        place.arm()
        await engine.act(workflow.workflow_id, "pause")
        held = (
            "SELECT bool_and(state IN ('suspended', 'completed')) FROM baton.oban_jobs"
            " WHERE meta ->> 'workflow_id' = $1"
        )

        async def sleeps() -> bool:
            return bool(await place.tables.fetchval(held, str(workflow.workflow_id)))

        await eventually(sleeps, DEADLINE)
        await engine.act(workflow.workflow_id, "resume")
        await place.send(workflow.workflow_id, "x")
        await place.finished()


def _completed(place: Place, workflow: Baton) -> Callable[[str], Awaitable[None]]:
    """What completes the step `a` by hand, past the door if need be."""

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            with suppress(StepSettledError):
                await client.act(workflow.workflow_id, "complete_step", "a", {"read": {}})

    async def judge() -> list[str]:
        states = await place.tables.fetch(
            "SELECT name, state::text FROM baton.workflow_nodes WHERE workflow_id = $1"
            " AND state <> 'completed'",
            workflow.workflow_id,
        )
        return [str(tuple(row)) for row in states]

    place.again = do
    place.judges.append(judge)
    acted(place, workflow, complete_step=1)
    return do


async def complete_step_that_runs(place: Place) -> None:
    """A step that runs is completed by hand; what is below goes on."""
    workflow = chain_of_two(Plan.HANG).workflow()
    _completed(place, workflow)
    async with place.engine() as engine:
        await place.insert(workflow)
        await place.begun(1)
        await place.proxy.quiet(0.03)
        place.arm()
        with suppress(StepSettledError):
            await engine.act(workflow.workflow_id, "complete_step", "a", {"read": {}})
        await _ended(place, workflow, 1)


async def complete_step_that_failed(place: Place) -> None:
    """A workflow has failed; its failed step is completed by hand, which begins the next run."""
    workflow = chain_of_two(Plan.DISCARD).workflow()
    do = _completed(place, workflow)
    await place.insert(workflow)
    async with fast(place.dsn):
        await _ended(place, workflow, 1)
    await do(place.proxy.dsn)


def chain_of_two(first: Plan) -> Graph:
    return Graph({"a": (), "b": ("a",)}, {"a": first, "b": Plan.SUCCEED})


async def _ended(place: Place, workflow: Baton, run: int) -> None:
    """Wait until a run of a workflow has ended."""
    query = "SELECT count(*) FROM baton.workflow_completions WHERE workflow_id = $1 AND run = $2"

    async def look() -> bool:
        return bool(await place.tables.fetchval(query, workflow.workflow_id, run))

    await eventually(look, DEADLINE)


RUNS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        cancel_step,
        cancel_step_that_waits,
        pause_and_resume,
        complete_step_that_runs,
        complete_step_that_failed,
    )
}
