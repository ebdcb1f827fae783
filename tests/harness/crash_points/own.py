"""What is broken of steps that are settled in their own transactions: each row is there once, and
exactly where its attempt settled the step.
"""

from __future__ import annotations

from crash_points.place import Place
from crash_points.waits import Scenario
from two_engines.graphs import Graph
from two_engines.workers import Plan

_WRONG = """
SELECT format('step %s settled as %s with %s rows', n.name, n.state, count(w.token)) AS wrong
FROM baton.workflow_nodes n
JOIN baton.oban_jobs j ON j.id = n.job_id AND (j.args ->> 'writes')::boolean
LEFT JOIN public.written w ON w.job_id = n.job_id
GROUP BY n.job_id, n.name, n.state, n.result
HAVING count(w.token) <> (n.state = 'completed')::integer
OR bool_or(w.token::text <> n.result -> 'value' ->> 'token')
"""


async def _run(place: Place, graph: Graph) -> None:
    workflow = place.expect(graph)

    async def judge() -> list[str]:
        return [row["wrong"] for row in await place.tables.fetch(_WRONG)]

    place.judges.append(judge)
    async with place.engine(stage_interval=0.05) as engine:
        await engine.pause("default")
        await place.insert(workflow)
        await place.resume(engine)
        await place.finished()


async def own_transactions(place: Place) -> None:
    """One after the other, one of them at its second attempt, the last one ends the workflow."""
    plans = {"a": Plan.SUCCEED, "b": Plan.RETRY, "c": Plan.SUCCEED}
    deps: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("b",)}
    await _run(place, Graph(deps, plans, writes=frozenset("abc")))


async def own_transactions_beside_others(place: Place) -> None:
    """Two parents of one step at once, beside one without; others are given up and snoozed."""
    plans = {
        **dict.fromkeys("abcd", Plan.SUCCEED),
        "e": Plan.DISCARD,
        "f": Plan.SNOOZE,
        "g": Plan.SKIP,
    }
    deps: dict[str, tuple[str, ...]] = {**dict.fromkeys("abcefg", ()), "d": ("a", "b", "c")}
    await _run(place, Graph(deps, plans, writes=frozenset("abdefg")))


async def own_transactions_that_add(place: Place) -> None:
    """One adds a step with a transaction of its own before another one; the last one adds too."""
    plans = {"a": Plan.RETRY, "x": Plan.SUCCEED, "b": Plan.SUCCEED, "y": Plan.SUCCEED}
    deps: dict[str, tuple[str, ...]] = {"a": (), "x": ("a",), "b": ("a", "x"), "y": ("b",)}
    grows: dict[str, tuple[str, ...]] = {"a": ("x",), "b": ("y",)}
    await _run(place, Graph(deps, plans, writes=frozenset("ab"), grows=grows))


OWN: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        own_transactions,
        own_transactions_beside_others,
        own_transactions_that_add,
    )
}
