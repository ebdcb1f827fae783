"""What is broken of forks, deadlines and operations on many workflows."""

from __future__ import annotations

from crash_points.place import Place
from crash_points.retries import MENDED, ended
from crash_points.runs import acted
from crash_points.waits import BOTH, Scenario
from support.running import fast
from two_engines.graphs import Expected, Graph
from two_engines.run import heard
from two_engines.workers import Awaited, Plan

FORKED = Graph(
    {"a": (), "g": ("a",), "b": ("g",), "h": ("b",), "c": ("h",)},
    dict.fromkeys("agbhc", Plan.SUCCEED),
    gates={"g": BOTH, "h": Awaited(("z",))},
)


async def fork_what_ended(place: Place) -> None:
    """A step and a wait are taken over; another wait begins, and what is below it."""
    workflow = place.expect(FORKED)
    acted(place, workflow, fork=1)
    await ended(place, workflow, "x", "y", "z")
    forks = "SELECT id FROM baton.workflows WHERE forked_from = $1"

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            if not await place.tables.fetch(forks, workflow.workflow_id):
                await client.fork(workflow.workflow_id, ["b"])
        for row in await place.tables.fetch(forks, workflow.workflow_id):
            await place.send(row["id"], "z")
            forked = Expected(row["id"], FORKED, taken_over=frozenset("ag"))
            if forked not in place.expected:
                place.expected.append(forked)

    place.again = do
    await do(place.proxy.dsn)


async def retry_a_fork(place: Place) -> None:
    """What a fork has taken over is begun anew, from jobs that it never had: steps and waits."""
    source = place.expect(FORKED)
    await ended(place, source, "x", "y", "z")
    async with place.client(place.dsn) as client:
        fork_id = await client.fork(source.workflow_id, ["c"])
    place.expected.append(Expected(fork_id, FORKED, runs=2, again=frozenset("c")))
    async with fast(place.dsn):
        await place.finished()
    await heard(place.notified, [fork_id])
    done = "SELECT EXISTS (SELECT FROM baton.baton_actions WHERE workflow_id = $1)"

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            if not await place.tables.fetchval(done, fork_id):
                await client.retry(fork_id, {"mode": "all"})
        for name in "xyz":
            await place.send(fork_id, name)

    place.again = do
    await do(place.proxy.dsn)


async def deadline(place: Place) -> None:
    """The deadline of a workflow passes while one of its steps runs and another waits."""
    graph = Graph(
        {"a": (), "b": ("a",), "c": ("b",), "g": ()},
        {"a": Plan.HANG, "b": Plan.SUCCEED, "c": Plan.SUCCEED, "g": Plan.SUCCEED},
        ignore_cancelled=frozenset("c"),
        gates={"g": Awaited(("x",))},
    )
    workflow = place.expect(graph, cancelled=True)
    acted(place, workflow, deadline=1)
    async with place.engine():
        await place.insert(workflow)
        await place.performing(workflow.workflow_id, "a")
        await place.proxy.quiet(0.03)
        place.arm()
        await place.tables.execute(
            "INSERT INTO baton.workflow_deadlines (workflow_id, deadline) VALUES ($1, now())",
            workflow.workflow_id,
        )
        await place.tables.execute("SELECT pg_notify('baton.baton_deadline', '')")
        await place.finished()


async def retry_many(place: Place) -> None:
    """Each workflow that has failed is retried once, whoever has to go on with that."""
    for _ in range(3):
        workflow = place.expect(MENDED, runs=2, again="b")
        acted(place, workflow, retry=1)
        await ended(place, workflow)

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            begun = await place.tables.fetchval("SELECT id FROM baton.baton_bulk")
            if begun is None:
                await client.retry_all("failed")
            else:
                await client.resume_bulk(begun)

    async def judge() -> list[str]:
        rows = await place.tables.fetch("SELECT state, done, failed FROM baton.baton_bulk")
        found = [tuple(row) for row in rows]
        return [] if found == [("finished", 3, 0)] else [f"operations {found}"]

    place.again = do
    place.judges.append(judge)
    await do(place.proxy.dsn)


VERBS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (fork_what_ended, retry_a_fork, deadline, retry_many)
}
