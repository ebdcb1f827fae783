"""Tables that are not as this Baton left them: ids that came twice, stamps of the future."""

from __future__ import annotations

from uuid import uuid4

from crash_points.place import Place
from support.running import fast
from support.waiting import eventually
from two_engines.graphs import Graph
from two_engines.workers import Plan

_LOOSE = """
INSERT INTO baton.oban_jobs (worker, queue, args, max_attempts)
VALUES ('two_engines.planned', 'default', '{"plan": "succeed", "seconds": 0.0, "waits": []}', 3)
RETURNING id
"""
_NODES = "SELECT to_jsonb(n)::text FROM baton.workflow_nodes n WHERE workflow_id = $1"
ALONE = Graph({"a": ()}, {"a": Plan.SUCCEED})
PAIR = Graph({"a": (), "b": ("a",)}, dict.fromkeys("ab", Plan.SUCCEED))


async def reused_id(place: Place) -> None:
    """A job outside workflows has the id of a step that has completed: it is performed, and the
    step stays as it is.
    """
    old = ALONE.workflow()
    await place.insert(old)
    async with fast(place.dsn) as before:
        await before.workflow(old.workflow_id).completion(timeout=15)
    (node,) = await place.tables.fetch(_NODES, old.workflow_id)
    # What this wrote down is of the old job.
    place.forget()
    await place.tables.execute("TRUNCATE baton.oban_jobs RESTART IDENTITY")

    async def unchanged() -> list[str]:
        (found,) = await place.tables.fetch(_NODES, old.workflow_id)
        return [] if found == node else [f"the step of another job is {found[0]}, not {node[0]}"]

    place.judges.append(unchanged)
    async with place.engine() as engine:
        await engine.pause("default")
        loose = await place.tables.fetchval(_LOOSE)
        step = await place.tables.fetchval(
            "SELECT job_id FROM baton.workflow_nodes WHERE workflow_id = $1", old.workflow_id
        )
        assert loose == step, "no id came twice"
        place.loose.append(loose)
        await place.insert(place.expect(ALONE))
        await place.resume(engine)
        await place.finished()


_LATER = """
UPDATE baton.baton_engines
SET seen_at = now() + interval '1 hour', steady_since = now() + interval '1 hour'
"""
_DEAD = """
INSERT INTO baton.baton_engines (id, name, node, rescue_after, seen_at, steady_since)
VALUES ($1, 'dead', 'elsewhere', 0.6, now() + interval '1 hour', now() + interval '1 hour')
"""


async def clock_set_back(place: Place) -> None:
    """The database's clock was an hour ahead when an engine died: it is rescued from."""
    workflow = place.expect(PAIR)
    dead = uuid4()
    async with place.engine(
        queues={"default": 1}, rescue_interval=0.05, heartbeat_interval=0.1, rescue_after=0.6
    ) as engine:
        await engine.pause("default")
        await place.insert(workflow)
        await place.orphan(dead)
        await place.tables.execute(
            "UPDATE baton.oban_jobs SET attempted_at = attempted_at + interval '1 hour'"
            " WHERE state = 'executing'"
        )
        await place.tables.execute(_LATER)
        await place.tables.execute(_DEAD, dead)
        await engine.resume("default")
        place.arm()

        async def beats() -> bool:
            query = "SELECT count(*) = 1 FROM baton.baton_engines WHERE seen_at <= now()"
            return bool(await place.tables.fetchval(query))

        await eventually(beats)
        await place.finished()
        rescued = "SELECT count(*) FROM baton.oban_jobs WHERE errors::text LIKE '%rescued%'"
        assert await place.tables.fetchval(rescued) == 1, "nothing was rescued"


STRANGE = {scenario.__name__: scenario for scenario in (reused_id, clock_set_back)}
