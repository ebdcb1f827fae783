"""What is broken of steps that add steps: these are there once, or not at all, and the workflow
ends after them.
"""

from __future__ import annotations

from crash_points.place import Place
from crash_points.waits import Scenario
from two_engines.graphs import Graph
from two_engines.workers import Plan


async def _run(place: Place, graph: Graph) -> None:
    workflow = place.expect(graph)
    async with place.engine(stage_interval=0.05) as engine:
        await engine.pause("default")
        await place.insert(workflow)
        await place.resume(engine)
        await place.finished()


async def growth(place: Place) -> None:
    """One adds two steps before a join, at its second attempt; one of them adds the last step."""
    plans = {"a": Plan.RETRY, "b": Plan.SUCCEED, "x": Plan.SUCCEED, "y": Plan.SUCCEED}
    plans |= {"z": Plan.SUCCEED, "j": Plan.SUCCEED}
    deps: dict[str, tuple[str, ...]] = {
        "a": (),
        "b": (),
        "x": (),
        "y": ("x", "b"),
        "z": ("y",),
        "j": ("a", "b", "x", "y"),
    }
    await _run(place, Graph(deps, plans, grows={"a": ("x", "y"), "x": ("z",)}))


async def growth_at_the_end(place: Place) -> None:
    """The only step adds the next one, and that one the last; one that fails adds nothing."""
    plans = {"a": Plan.SUCCEED, "x": Plan.SUCCEED, "y": Plan.SUCCEED, "f": Plan.DISCARD}
    deps: dict[str, tuple[str, ...]] = {"a": (), "x": ("a",), "y": ("x",), "f": ()}
    await _run(place, Graph(deps, plans, grows={"a": ("x",), "x": ("y",)}))


async def growth_below_failures(place: Place) -> None:
    """What is added below steps that have failed, or were skipped, follows them at once."""
    plans = {"f": Plan.DISCARD, "s": Plan.SKIP, "a": Plan.SUCCEED}
    plans |= dict.fromkeys("xyzw", Plan.SUCCEED)
    deps: dict[str, tuple[str, ...]] = {
        "f": (),
        "s": (),
        "a": ("f", "s"),
        "x": ("f",),
        "y": ("s",),
        "z": ("x", "y"),
        "w": ("f", "s"),
    }
    forgiving = frozenset("aw")
    graph = Graph(deps, plans, forgiving, forgiving, grows={"a": tuple("xyzw")})
    await _run(place, graph)


GROWTH: dict[str, Scenario] = {
    scenario.__name__: scenario for scenario in (growth, growth_at_the_end, growth_below_failures)
}
