"""What is broken: every scenario arms the door when it comes to its subject."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from baton import schema
from baton.errors import WorkflowExistsError
from crash_points.growth import GROWTH
from crash_points.own import OWN
from crash_points.place import Place
from crash_points.retries import RETRIES
from crash_points.runs import RUNS
from crash_points.strange import STRANGE
from crash_points.verbs import VERBS
from crash_points.waits import WAITS, Scenario
from support.running import fast
from support.waiting import eventually
from two_engines.graphs import Graph
from two_engines.workers import Plan

JOIN = Graph({"a": (), "b": (), "c": (), "d": ("a", "b", "c")}, dict.fromkeys("abcd", Plan.SUCCEED))


def chain(*plans: Plan, forgiving: str = "") -> Graph:
    """Steps a, b, …, one after the other."""
    names = [chr(ord("a") + place) for place in range(len(plans))]
    deps = {name: tuple(names[place - 1 : place]) for place, name in enumerate(names)}
    return Graph(deps, dict(zip(names, plans, strict=True)), frozenset(forgiving))


async def start(place: Place) -> None:
    """An engine starts where work waits."""
    await place.insert(place.expect(chain(Plan.SUCCEED)))
    place.arm()
    async with place.engine():
        await place.finished()


async def insert(place: Place) -> None:
    workflows = [place.expect(JOIN), place.expect(chain(Plan.SUCCEED, Plan.RETRY))]
    ids = [workflow.workflow_id for workflow in workflows]

    async def do(dsn: str) -> None:
        async with place.client(dsn) as client:
            place.arm()
            with suppress(WorkflowExistsError):
                await client.insert(workflows)
        found = await place.tables.fetchval(
            "SELECT count(*) FROM baton.workflow_nodes WHERE workflow_id = ANY ($1::uuid[])", ids
        )
        assert found == 6

    place.again = do
    await do(place.proxy.dsn)


async def run(place: Place, *graphs: Graph, stage_interval: float = 300.0) -> None:
    async with place.engine(stage_interval=stage_interval) as engine:
        await engine.pause("default")
        await place.insert(*[place.expect(graph) for graph in graphs])
        await place.resume(engine)
        await place.finished()


async def claim_and_settle(place: Place) -> None:
    await run(place, *[chain(Plan.SUCCEED)] * 3)


async def last_sibling(place: Place) -> None:
    await run(place, JOIN)


async def retry(place: Place) -> None:
    await run(place, chain(Plan.RETRY, Plan.SUCCEED), stage_interval=0.05)


async def exhausted(place: Place) -> None:
    """The last attempt fails: a cascade, down to a step that forgives."""
    await run(place, chain(Plan.EXHAUST, Plan.SUCCEED, Plan.SUCCEED, forgiving="c"))


async def given_up(place: Place) -> None:
    await run(place, chain(Plan.DISCARD, Plan.SUCCEED), chain(Plan.CANCEL, Plan.SUCCEED))


async def skipped(place: Place) -> None:
    """One that is skipped, with all that depends on it alone, and one beside a step that runs."""
    beside = Graph(
        {"a": (), "b": (), "c": ("a", "b"), "d": ("a",)},
        {"a": Plan.SKIP, "b": Plan.SUCCEED, "c": Plan.SUCCEED, "d": Plan.SUCCEED},
    )
    await run(place, chain(Plan.SKIP, Plan.SUCCEED, Plan.SUCCEED), beside)


async def branches(place: Place) -> None:
    """Branches by conditions on a result, joined as alternatives; what is skipped ends the last."""
    graph = Graph(
        {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("b",), "f": ("e",)},
        dict.fromkeys("abcdef", Plan.SUCCEED),
        any_of={"d": frozenset("bc")},
        conditions={"b": ("when", "a"), "c": ("unless", "a"), "e": ("unless", "b")},
    )
    await run(place, graph)


async def failed_alternatives(place: Place) -> None:
    """One fails and one is skipped, where one is enough; what runs on failure runs."""
    graph = Graph(
        {"a": (), "b": (), "c": ("a", "b"), "d": ("a",), "e": ("b", "a"), "f": ("c", "d")},
        {"a": Plan.DISCARD, "b": Plan.SKIP, **dict.fromkeys("cdef", Plan.SUCCEED)},
        ignore_discarded=frozenset("f"),
        any_of={"c": frozenset("ab"), "e": frozenset("ab")},
        conditions={"d": ("on_failure", "a")},
    )
    await run(place, graph)


async def snooze(place: Place) -> None:
    await run(place, chain(Plan.SNOOZE, Plan.SUCCEED), stage_interval=0.05)


async def cancel(place: Place) -> None:
    """A workflow is cancelled while its first step runs."""
    workflow = place.expect(chain(Plan.HANG, Plan.SUCCEED), cancelled=True)
    async with place.engine() as engine:
        await place.insert(workflow)
        await place.begun(1)
        await place.proxy.quiet(0.03)
        place.arm()
        # A repetition after a lost reply finds nothing left to cancel.
        await engine.cancel(workflow.workflow_id)
        states = await place.tables.fetch("SELECT DISTINCT state::text FROM baton.oban_jobs")
        assert [row[0] for row in states] == ["cancelled"]
        await place.finished()


async def rescue(place: Place) -> None:
    workflow = place.expect(chain(Plan.SUCCEED, Plan.SUCCEED))
    async with place.engine(queues={"default": 1}, rescue_interval=0.05) as engine:
        await engine.pause("default")
        await place.insert(workflow)
        await place.orphan()
        await engine.resume("default")
        place.arm()
        await place.steady()
        await place.finished()


async def sweep(place: Place) -> None:
    async def do(dsn: str) -> None:
        async with place.client(dsn) as client:
            place.arm()
            await client.sweep({})

    place.again = do
    await do(place.proxy.dsn)


async def settle_by_the_sweep(place: Place) -> None:
    """The job of one step was cancelled by hand, the row of another's is gone."""
    ended = place.expect(chain(Plan.CANCEL, Plan.SUCCEED, Plan.SUCCEED, forgiving="c"), True)
    waiting = place.expect(chain(Plan.SUCCEED, Plan.SUCCEED), cancelled=True)
    await place.insert(ended, waiting)
    root = "id = (SELECT job_id FROM baton.workflow_nodes WHERE workflow_id = $1 AND name = 'a')"
    await place.tables.execute(
        "UPDATE baton.oban_jobs SET state = 'cancelled',"
        f" cancelled_at = timezone('UTC', now()) WHERE {root}",
        ended.workflow_id,
    )
    await place.tables.execute(f"DELETE FROM baton.oban_jobs WHERE {root}", waiting.workflow_id)
    await sweep(place)


async def _finished_before(place: Place, graph: Graph) -> UUID:
    workflow = graph.workflow()
    await place.insert(workflow)
    async with fast(place.dsn) as engine:
        await engine.workflow(workflow.workflow_id).completion(timeout=15)
    return workflow.workflow_id


async def announce_by_the_sweep(place: Place) -> None:
    """All steps have settled, and nobody announced the workflow."""
    workflow = place.expect(chain(Plan.SUCCEED, Plan.DISCARD))
    await place.insert(workflow)
    async with fast(place.dsn):
        await place.finished()
    await place.tables.execute("DELETE FROM baton.workflow_completions")
    await eventually(lambda: _heard(place, workflow.workflow_id))
    place.notified.clear()
    await sweep(place)


async def _heard(place: Place, workflow_id: UUID) -> bool:
    return str(workflow_id) in place.notified


async def prune(place: Place) -> None:
    """An old workflow goes; one that still waits stays whole, and ends later."""
    old = await _finished_before(place, chain(Plan.SUCCEED, Plan.DISCARD))
    await place.tables.execute(
        "UPDATE baton.oban_jobs SET completed_at = completed_at - interval '1 day',"
        " discarded_at = discarded_at - interval '1 day'"
    )
    await place.insert(place.expect(chain(Plan.SUCCEED, Plan.SUCCEED)))
    ages = {"completed": 60.0, "discarded": 60.0}

    async def do(dsn: str) -> None:
        async with place.client(dsn) as client:
            place.arm()
            # What breaks the first does not break the second.
            for _ in range(2):
                await client.sweep({"prune": True, "job_max_age": ages})
                left = await place.tables.fetchval(
                    "SELECT count(*) FROM baton.workflow_nodes WHERE workflow_id = $1", old
                )
                assert left in (0, 2), "a workflow was pruned in part"
        assert left == 0

    place.again = do
    await do(place.proxy.dsn)


async def migrate(place: Place) -> None:
    await place.tables.execute("DROP SCHEMA IF EXISTS again CASCADE")

    async def do(dsn: str) -> None:
        async with place.client(dsn) as client:
            place.arm()
            await client.migrate("again")
        report = await schema.verify(place.dsn, schema="again")
        assert not report.problems

    place.again = do
    await do(place.proxy.dsn)


async def heartbeat(place: Place) -> None:
    """An engine says that it is alive while it performs a step."""
    workflow = place.expect(chain(Plan.SUCCEED), seconds=0.7)
    # On a busy machine a beat is late by more than it would be found dead after, if this were less.
    async with place.engine(heartbeat_interval=0.1, rescue_after=0.6):
        await place.insert(workflow)
        await place.begun(1)
        place.arm()
        await place.finished()


async def shutdown(place: Place) -> None:
    """An engine stops; its steps do not end by themselves."""
    plans = (Plan.HANG, Plan.HANG, Plan.SUCCEED)
    workflows = [place.expect(chain(plan, Plan.SUCCEED)) for plan in plans]
    async with place.engine(queues={"default": 2}) as engine:
        await place.insert(*workflows)
        await place.begun(2)
        await place.proxy.quiet(0.03)
        place.arm()
        await engine.stop()


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        start,
        insert,
        claim_and_settle,
        last_sibling,
        retry,
        exhausted,
        given_up,
        skipped,
        branches,
        failed_alternatives,
        snooze,
        cancel,
        rescue,
        settle_by_the_sweep,
        announce_by_the_sweep,
        prune,
        migrate,
        heartbeat,
        shutdown,
    )
}
SCENARIOS |= OWN | GROWTH | STRANGE | WAITS | RUNS | RETRIES | VERBS
