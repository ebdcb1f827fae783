"""The cascade against a naive model that repeats simple rules until nothing changes."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from baton.core.gate import Cascade, Cause, GraphNode, cascade
from baton.words.states import JobState

FAILED = (JobState.CANCELLED, JobState.DISCARDED)


class Ended(NamedTuple):
    job_id: int
    name: str
    state: JobState
    dependents: tuple[int, ...] = ()


class World(NamedTuple):
    """A whole graph by job id; `ended` and `gone` settle now, `before` completed earlier."""

    deps: dict[int, tuple[int, ...]]
    ignores: dict[int, tuple[bool, bool]]
    ended: Mapping[int, JobState]
    gone: frozenset[int]
    before: frozenset[int]
    executing: frozenset[int]

    def dependents(self, job_id: int) -> tuple[int, ...]:
        return tuple(other for other, deps in self.deps.items() if job_id in deps)

    def pending(self, job_id: int) -> int:
        return sum(dep not in self.before for dep in self.deps[job_id])

    def unsettled(self) -> list[int]:
        return [
            job_id for job_id in self.deps if job_id not in self.ended and job_id not in self.before
        ]

    def run(self, order: list[int] | None = None) -> Cascade:
        settled = [
            Ended(job_id, f"s{job_id}", self.ended[job_id], self.dependents(job_id))
            for job_id in (order or self.ended)
        ]
        nodes = {
            job_id: GraphNode(
                name=f"s{job_id}",
                pending=self.pending(job_id),
                ignore_cancelled=self.ignores[job_id][0],
                ignore_discarded=self.ignores[job_id][1],
                dependents=self.dependents(job_id),
                executing=job_id in self.executing,
            )
            for job_id in self.unsettled()
        }
        return cascade(settled, nodes, gone=self.gone)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    count = draw(st.integers(1, 9))
    ids = draw(st.permutations(range(1, count + 1)))
    deps = {
        job_id: tuple(draw(st.lists(st.sampled_from(ids[:at]), unique=True, max_size=4)))
        if at
        else ()
        for at, job_id in enumerate(ids)
    }
    flag = st.booleans()
    ended = draw(
        st.dictionaries(
            st.sampled_from(ids), st.sampled_from((JobState.COMPLETED, *FAILED)), min_size=1
        )
    )
    gone = {i for i in ended if draw(st.booleans()) and ended[i] is JobState.CANCELLED}
    rest = [job_id for job_id in ids if job_id not in ended]
    some = st.sets(st.sampled_from(rest), max_size=2) if rest else st.just(set[int]())
    before = draw(some)
    return World(
        deps,
        {job_id: (draw(flag), draw(flag)) for job_id in ids},
        ended,
        frozenset(gone),
        frozenset(before),
        frozenset(draw(some) - before),
    )


def doomed_by(world: World, job_id: int, cancelled: set[int]) -> set[int]:
    ignore_cancelled, ignore_discarded = world.ignores[job_id]
    found = set()
    for dep in world.deps[job_id]:
        state = JobState.CANCELLED if dep in cancelled else world.ended.get(dep)
        if (
            dep in world.gone
            or (state is JobState.CANCELLED and not ignore_cancelled)
            or (state is JobState.DISCARDED and not ignore_discarded)
        ):
            found.add(dep)
    return found


def naive(world: World) -> tuple[set[int], dict[int, int], set[int]]:
    cancelled: set[int] = set()
    while True:
        more = {
            job_id
            for job_id in world.unsettled()
            if job_id not in world.executing | cancelled and doomed_by(world, job_id, cancelled)
        }
        if not more:
            break
        cancelled |= more
    alive = [job_id for job_id in world.unsettled() if job_id not in cancelled]
    lost = {i: sum(d in cancelled or d in world.ended for d in world.deps[i]) for i in alive}
    released = {
        i for i in alive if lost[i] and lost[i] == world.pending(i) and i not in world.executing
    }
    return cancelled, {i: n for i, n in lost.items() if n}, released


@settings(deadline=None, max_examples=500)
@given(worlds())
def test_the_cascade_is_the_fix_point(world: World) -> None:
    plan = world.run()
    cancelled, decrements, released = naive(world)
    assert set(plan.cancelled) == cancelled
    assert plan.decrements == decrements
    assert plan.released == tuple(sorted(released))
    for job_id, cause in plan.cancelled.items():
        blamed = int(cause.name[1:])
        assert blamed in doomed_by(world, job_id, cancelled)
        assert cause.state is world.ended.get(blamed, JobState.CANCELLED)
        assert cause.gone == (blamed in world.gone)


@settings(deadline=None)
@given(st.data(), worlds())
def test_the_order_of_settlements_changes_nothing(data: st.DataObject, world: World) -> None:
    order = data.draw(st.permutations(list(world.ended)))
    first, second = world.run(), world.run(list(order))
    assert first == second
    assert list(first.cancelled) == list(second.cancelled)


@settings(deadline=None)
@given(worlds())
def test_a_cause_is_cancelled_before_what_it_causes(world: World) -> None:
    order = list(world.run().cancelled)
    for job_id, cause in world.run().cancelled.items():
        blamed = int(cause.name[1:])
        assert blamed in world.ended or order.index(blamed) < order.index(job_id)


def node(name: str, pending: int = 1, *dependents: int, executing: bool = False) -> GraphNode:
    return GraphNode(name, pending, False, False, dependents, executing)


def test_a_step_that_is_both_released_and_doomed_is_cancelled_once() -> None:
    settled = [Ended(1, "a", JobState.COMPLETED, (3,)), Ended(2, "b", JobState.DISCARDED, (3,))]
    assert cascade(settled, {3: node("c", 2)}) == Cascade(
        {3: Cause("b", JobState.DISCARDED)}, {}, ()
    )


def test_the_nearest_dependency_of_the_least_id_is_the_cause() -> None:
    settled = [
        Ended(9, "far", JobState.CANCELLED, (5, 6)),
        Ended(2, "near", JobState.DISCARDED, (6,)),
    ]
    plan = cascade(settled, {5: node("e", 1, 6), 6: node("f", 3)})
    assert plan.cancelled == {
        5: Cause("far", JobState.CANCELLED),
        6: Cause("near", JobState.DISCARDED),
    }


def test_the_least_id_is_the_cause_further_down_too() -> None:
    nodes = {4: node("d", 1, 6), 5: node("e", 1, 6), 6: node("f", 2)}
    plan = cascade([Ended(1, "a", JobState.CANCELLED, (5, 4))], nodes)
    assert plan.cancelled[6] == Cause("d", JobState.CANCELLED)


def test_an_executing_step_is_counted_and_left_alone() -> None:
    settled = [Ended(1, "a", JobState.CANCELLED, (2,))]
    nodes = {2: node("b", 1, 3, executing=True), 3: node("c")}
    assert cascade(settled, nodes) == Cascade({}, {2: 1}, ())


def test_a_counter_never_falls_below_zero() -> None:
    settled = [Ended(1, "a", JobState.COMPLETED, (3, 4)), Ended(2, "b", JobState.COMPLETED, (3, 4))]
    assert cascade(settled, {3: node("c", 0), 4: node("d", 1)}) == Cascade({}, {4: 1}, (4,))


@pytest.mark.parametrize("ignore", [False, True])
def test_no_flag_applies_to_a_vanished_job(ignore: bool) -> None:
    nodes = {2: GraphNode("b", 1, ignore, ignore, (3,)), 3: GraphNode("c", 1, True, True, ())}
    plan = cascade([Ended(1, "a", JobState.CANCELLED, (2,))], nodes, gone={1})
    assert plan == Cascade({2: Cause("a", JobState.CANCELLED, gone=True)}, {3: 1}, (3,))


def test_nothing_settled_nothing_follows() -> None:
    assert cascade({}, {1: node("a")}) == Cascade({}, {}, ())


def test_a_long_chain_and_a_wide_star_need_no_recursion() -> None:
    size = 100_000
    chain = {i: node(f"s{i}", 1, *((i + 1,) if i < size else ())) for i in range(2, size + 1)}
    first = [Ended(1, "s1", JobState.CANCELLED, (2,))]
    assert len(cascade(first, chain).cancelled) == size - 1
    star = {i: node(f"s{i}", 1, size + 1) for i in range(2, size + 1)} | {
        size + 1: node("end", size)
    }
    root = [Ended(1, "s1", JobState.COMPLETED, tuple(range(2, size + 1)))]
    assert len(cascade(root, star).released) == size - 1
    doomed = [Ended(1, "s1", JobState.DISCARDED, tuple(range(2, size + 1)))]
    assert len(cascade(doomed, star).cancelled) == size
