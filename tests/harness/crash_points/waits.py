"""What is broken of waits: arming, sending, resuming, expiring, cancelling, pruning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from baton import Baton
from crash_points.place import Place
from support.running import fast
from two_engines.graphs import Graph
from two_engines.workers import Awaited, Plan

HOUR = 3600.0
BOTH = Awaited(("x", "y"), need=2)
OVER = Awaited(("never",), timeout=HOUR, ends=("timeout",))
FAILING = [
    Awaited(("never",), timeout=HOUR, on_timeout=how, ends=("timeout",))
    for how in ("cancel", "discard")
]


def gated(gate: Awaited) -> Graph:
    """a, then a gate, then b."""
    return Graph(
        {"a": (), "g": ("a",), "b": ("g",)}, dict.fromkeys("agb", Plan.SUCCEED), gates={"g": gate}
    )


def waiting(*waits: Awaited) -> Graph:
    """A step that waits, and one below."""
    return Graph({"s": (), "t": ("s",)}, dict.fromkeys("st", Plan.SUCCEED), waits={"s": waits})


def _events(place: Place, workflow: Baton, *names: str) -> Callable[[str], Awaitable[None]]:
    """What sends these events past the door; it does so at the end in any case."""

    async def send(_: str = "") -> None:
        for name in names:
            await place.send(workflow.workflow_id, name)

    place.again = send
    return send


async def arm_a_gate(place: Place) -> None:
    """A step above a gate settles, and the gate's events come."""
    workflow = place.expect(gated(BOTH))
    async with place.engine() as engine:
        await engine.pause("default")
        await place.insert(workflow)
        send = _events(place, workflow, "y", "x")
        await place.resume(engine)
        await place.waiting(1)
        await send("")
        await place.finished()


async def arm_what_has_come(place: Place) -> None:
    """The events are there before the gate and the step wait for them."""
    gate, step = place.expect(gated(BOTH)), place.expect(waiting(BOTH))
    async with place.engine() as engine:
        await engine.pause("default")
        await place.insert(gate, step)
        for workflow in (gate, step):
            for name in "xy":
                await place.send(workflow.workflow_id, name)
        await place.resume(engine)
        await place.finished()


async def suspend_and_resume(place: Place) -> None:
    """A step waits twice, and meets its events run after run."""
    workflow = place.expect(waiting(BOTH, Awaited(("p", "q"))))
    async with place.engine() as engine:
        await engine.pause("default")
        await place.insert(workflow)
        _events(place, workflow, "x", "y", "q")
        await place.resume(engine)
        await place.waiting(1)
        await place.send(workflow.workflow_id, "y")
        await place.send(workflow.workflow_id, "x")
        await place.armed(workflow.workflow_id, "#2")
        await place.send(workflow.workflow_id, "q")
        await place.finished()


async def last_sibling_is_a_gate(place: Place) -> None:
    """A fan-in of steps and gates."""
    graph = Graph(
        {"a": (), "b": (), "g": (), "h": ("a",), "d": ("a", "b", "g", "h")},
        dict.fromkeys("abghd", Plan.SUCCEED),
        gates={"g": Awaited(("x",)), "h": Awaited(("y",))},
    )
    workflow = place.expect(graph)
    async with place.engine() as engine:
        await engine.pause("default")
        await place.insert(workflow)
        await place.send(workflow.workflow_id, "y")
        send = _events(place, workflow, "x")
        await place.resume(engine)
        await send("")
        await place.finished()


async def rescue_what_resumed(place: Place) -> None:
    """The engine that ran a step after its wait is dead."""
    workflow = place.expect(waiting(Awaited(("x",))))
    await _until_waiting(place, workflow)
    await place.send(workflow.workflow_id, "x")
    async with place.engine(queues={"default": 1}, rescue_interval=0.05) as engine:
        await engine.pause("default")
        await place.orphan()
        await engine.resume("default")
        place.arm()
        await place.steady()
        await place.finished()


async def _until_waiting(place: Place, *workflows: Baton, count: int = 1) -> None:
    """Bring workflows to their waits by an engine that then is gone."""
    await place.insert(*workflows)
    async with fast(place.dsn):
        await place.waiting(count)


async def _send(place: Place, workflow_id: UUID | None, name: str, key: str | None = None) -> None:
    event_id = f"{workflow_id or key} {name}"

    async def do(dsn: str) -> None:
        async with place.client(dsn) as client:
            place.arm()
            answer = await client.send(workflow_id, name, event_id, key)
            place.sent(event_id, workflow_id, key, name, answer)

    place.again = do
    await do(place.proxy.dsn)


async def send_to_a_gate(place: Place) -> None:
    workflow = place.expect(gated(Awaited(("x", "y"))))
    await _until_waiting(place, workflow)
    await _send(place, workflow.workflow_id, "x")


async def send_to_a_step(place: Place) -> None:
    workflow = place.expect(waiting(BOTH))
    await _until_waiting(place, workflow)
    await place.send(workflow.workflow_id, "x")
    await _send(place, workflow.workflow_id, "y")


async def send_by_a_key(place: Place) -> None:
    """To gates, one of which is not armed yet, and to a step."""
    awaited = Awaited(("x",), key="k")
    gates = [place.expect(gated(awaited)) for _ in range(2)]
    step = place.expect(waiting(awaited))
    await _until_waiting(place, gates[0], step, count=2)
    await place.insert(gates[1])
    await _send(place, None, "x", key="k")


async def _due(place: Place) -> None:
    """Gates and a step whose time is over, and who settle in all ways."""
    graphs = [gated(OVER), waiting(OVER), *map(gated, FAILING)]
    workflows = [place.expect(graph) for graph in graphs]
    await _until_waiting(place, *workflows, count=len(graphs))


async def expire(place: Place) -> None:
    """By the engine's timer."""
    await _due(place)
    async with place.engine():
        await place.proxy.quiet(0.03)
        place.arm()
        await place.time_passes()
        await place.tables.execute("SELECT pg_notify('baton.baton_waits', '0')")
        await place.finished()


async def expire_by_the_sweep(place: Place) -> None:
    await _due(place)
    await place.time_passes()

    async def do(dsn: str) -> None:
        async with place.client(dsn) as client:
            place.arm()
            await client.sweep({})

    place.again = do
    await do(place.proxy.dsn)


async def cancel_what_waits(place: Place) -> None:
    """Workflows whose step and whose gate wait are cancelled."""
    workflows = [place.expect(graph, cancelled=True) for graph in (gated(BOTH), waiting(BOTH))]
    await _until_waiting(place, *workflows, count=2)

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            for workflow in workflows:
                await client.cancel(workflow.workflow_id)
        left = await place.tables.fetchval(
            "SELECT count(*) FROM baton.oban_jobs WHERE state = 'suspended'"
        )
        assert left == 0

    place.again = do
    await do(place.proxy.dsn)


async def cancel_waits(place: Place) -> None:
    """The waits themselves are cancelled: the gate's step with it, the other step goes on."""
    cancelled = Awaited(("x",), ends=("cancelled",))
    ended = place.expect(gated(cancelled))
    goes_on = place.expect(waiting(cancelled))
    await _until_waiting(place, ended, goes_on, count=2)

    async def do(dsn: str) -> None:
        async with place.client(dsn, notify=True) as client:
            place.arm()
            await client.cancel_wait(ended.workflow_id, "g")
            await client.cancel_wait(goes_on.workflow_id, "s")

    place.again = do
    await do(place.proxy.dsn)


_WAIT_ROWS = """
SELECT
    (SELECT count(*) FROM baton.workflow_nodes WHERE workflow_id = $1),
    (SELECT count(*) FROM baton.workflow_wait_groups WHERE workflow_id = $1),
    (SELECT count(*) FROM baton.workflow_wait_members WHERE workflow_id = $1),
    (SELECT count(*) FROM baton.workflow_events WHERE workflow_id = $1)
"""


WHOLE, GONE = (2, 1, 2, 3), (0, 0, 0, 0)


async def prune_waits(place: Place) -> None:
    """The waits of an old workflow go with it; one that still waits stays whole, and ends later."""
    old = waiting(BOTH).workflow()
    await _until_waiting(place, old)
    for name in "xyz":
        await place.send(old.workflow_id, name)
    async with fast(place.dsn) as engine:
        await engine.workflow(old.workflow_id).completion(timeout=15)
    await place.tables.execute(
        "UPDATE baton.oban_jobs SET completed_at = completed_at - interval '1 day'"
    )
    left = place.expect(waiting(BOTH))
    await _until_waiting(place, left)
    await place.send(left.workflow_id, "x")

    async def do(dsn: str) -> None:
        async with place.client(dsn) as client:
            place.arm()
            for _ in range(2):
                await client.sweep({"prune": True, "job_max_age": {"completed": 60.0}})
                found = await place.tables.fetchrow(_WAIT_ROWS, old.workflow_id)
                assert found is not None
                assert tuple(found) in (WHOLE, GONE), f"a workflow was pruned in part: {found}"
                last = tuple(found)
        assert last == GONE
        await place.send(left.workflow_id, "y")

    place.again = do
    await do(place.proxy.dsn)


Scenario = Callable[[Place], Awaitable[None]]

WAITS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        arm_a_gate,
        arm_what_has_come,
        suspend_and_resume,
        last_sibling_is_a_gate,
        rescue_what_resumed,
        send_to_a_gate,
        send_to_a_step,
        send_by_a_key,
        expire,
        expire_by_the_sweep,
        cancel_what_waits,
        cancel_waits,
        prune_waits,
    )
}
