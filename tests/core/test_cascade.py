"""The cascade against a naive model that repeats simple rules until nothing changes."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from baton.core.cascade import Alternatives, Cascade, GraphNode, cascade
from baton.core.gate import Cause, DependencyRules
from baton.words.states import StepState


class Ended(NamedTuple):
    job_id: int
    name: str
    state: StepState
    dependents: tuple[int, ...] = ()
    any_dependents: tuple[int, ...] = ()


class World(NamedTuple):
    """A whole graph by job id; `ended` and `gone` settle now, `before` settled earlier. `any_of`
    are those of which each needs one, beside its `deps`.
    """

    deps: dict[int, tuple[int, ...]]
    any_of: dict[int, tuple[int, ...]]
    rules: dict[int, DependencyRules]
    ended: Mapping[int, StepState]
    gone: frozenset[int]
    before: Mapping[int, StepState]
    executing: frozenset[int]

    def dependents(self, job_id: int) -> tuple[int, ...]:
        return tuple(other for other, deps in self.deps.items() if job_id in deps)

    def any_dependents(self, job_id: int) -> tuple[int, ...]:
        return tuple(other for other, deps in self.any_of.items() if job_id in deps)

    def standing(self, job_id: int, known: Mapping[int, StepState]) -> StepState | None:
        """How the alternatives stand, when these have settled; CANCELLED dooms."""
        rules = self.rules[job_id]
        states = {known.get(dep) for dep in self.any_of[job_id]}
        if (
            StepState.COMPLETED in states
            or (StepState.CANCELLED in states and rules.ignore_cancelled)
            or (StepState.DISCARDED in states and rules.ignore_discarded)
        ):
            return StepState.COMPLETED
        if None in states:
            return None
        return StepState.SKIPPED if StepState.SKIPPED in states else StepState.CANCELLED

    def group_before(self, job_id: int) -> StepState | None:
        return self.standing(job_id, self.before) if self.any_of[job_id] else None

    def pending(self, job_id: int) -> int:
        needed = sum(dep not in self.before for dep in self.deps[job_id])
        return needed + bool(self.any_of[job_id] and self.group_before(job_id) is None)

    def alternatives(self, job_id: int) -> Alternatives | None:
        if not self.any_of[job_id] or self.group_before(job_id) is not None:
            return None
        states = [self.before.get(dep) for dep in self.any_of[job_id]]
        return Alternatives(states.count(None), StepState.SKIPPED in states)

    def unsettled(self) -> list[int]:
        return [
            job_id for job_id in self.deps if job_id not in self.ended and job_id not in self.before
        ]

    def run(self, order: list[int] | None = None) -> Cascade:
        settled = [
            Ended(
                job_id,
                f"s{job_id}",
                self.ended[job_id],
                self.dependents(job_id),
                self.any_dependents(job_id),
            )
            for job_id in (order or self.ended)
        ]
        nodes = {
            job_id: GraphNode(
                name=f"s{job_id}",
                pending=self.pending(job_id),
                rules=self.rules[job_id],
                dependents=self.dependents(job_id),
                unskipped=sum(
                    self.before.get(dep) is not StepState.SKIPPED for dep in self.deps[job_id]
                )
                + bool(self.any_of[job_id] and self.group_before(job_id) is not StepState.SKIPPED),
                executing=job_id in self.executing,
                any_dependents=self.any_dependents(job_id),
                alternatives=self.alternatives(job_id),
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
    any_of: dict[int, tuple[int, ...]] = {}
    for at, job_id in enumerate(ids):
        others = [other for other in ids[:at] if other not in deps[job_id]]
        wanted = draw(st.integers(0, 3)) if others else 0
        given = st.lists(st.sampled_from(others or ids), unique=True, max_size=wanted)
        any_of[job_id] = tuple(draw(given))
    ended = draw(st.dictionaries(st.sampled_from(ids), st.sampled_from(StepState), min_size=1))
    gone = {i for i in ended if draw(st.booleans()) and ended[i] is StepState.CANCELLED}
    rest = [job_id for job_id in ids if job_id not in ended]
    some = st.sets(st.sampled_from(rest), max_size=2) if rest else st.just(set[int]())
    passed = st.sampled_from((StepState.COMPLETED, StepState.SKIPPED))
    before = {job_id: draw(passed) for job_id in sorted(draw(some))}
    rules = {job_id: DependencyRules(draw(flag), draw(flag), draw(flag)) for job_id in ids}
    return World(
        deps,
        any_of,
        rules,
        ended,
        frozenset(gone),
        before,
        frozenset(draw(some) - before.keys()),
    )


def now(world: World, cancelled: set[int], skipped: set[int]) -> dict[int, StepState]:
    """All that has settled, by the end of these settlements."""
    return {
        **world.before,
        **world.ended,
        **dict.fromkeys(cancelled, StepState.CANCELLED),
        **dict.fromkeys(skipped, StepState.SKIPPED),
    }


def doomed_by(world: World, job_id: int, cancelled: set[int], skipped: set[int]) -> set[int]:
    rules = world.rules[job_id]
    found = set()
    for dep in world.deps[job_id]:
        state = StepState.CANCELLED if dep in cancelled else world.ended.get(dep)
        if (
            dep in world.gone
            or (state is StepState.CANCELLED and not rules.ignore_cancelled)
            or (state is StepState.DISCARDED and not rules.ignore_discarded)
        ):
            found.add(dep)
    if world.alternatives(job_id) is not None:
        standing = world.standing(job_id, now(world, cancelled, skipped))
        if standing is StepState.CANCELLED:
            found |= {dep for dep in world.any_of[job_id] if dep not in world.before}
    return found


def is_skipped(world: World, job_id: int, cancelled: set[int], skipped: set[int]) -> bool:
    """Whether the last of its dependencies is skipped now, and all others were or are."""
    known = now(world, cancelled, skipped)
    deps, any_of = world.deps[job_id], world.any_of[job_id]
    fresh = any(dep in world.ended or dep in skipped for dep in deps)
    return (
        not world.rules[job_id].run_when_skipped
        and bool(deps or any_of)
        and all(known.get(dep) is StepState.SKIPPED for dep in deps)
        and (not any_of or world.standing(job_id, known) is StepState.SKIPPED)
        and (fresh or world.alternatives(job_id) is not None)
    )


class Followed(NamedTuple):
    cancelled: set[int]
    skipped: set[int]
    decrements: dict[int, int]
    released: set[int]
    alternatives: dict[int, StepState]


def naive(world: World) -> Followed:
    cancelled: set[int] = set()
    skipped: set[int] = set()
    while True:
        left = [i for i in world.unsettled() if i not in world.executing | cancelled | skipped]
        doomed = {job_id for job_id in left if doomed_by(world, job_id, cancelled, skipped)}
        unneeded = {job_id for job_id in left if is_skipped(world, job_id, cancelled, skipped)}
        if not doomed | unneeded:
            break
        cancelled |= doomed
        skipped |= unneeded - doomed
    over = cancelled | skipped
    alive = [job_id for job_id in world.unsettled() if job_id not in over]
    lost = {i: sum(d in over or d in world.ended for d in world.deps[i]) for i in alive}
    alternatives: dict[int, StepState] = {}
    for i in alive:
        if world.alternatives(i) is not None:
            standing = world.standing(i, now(world, cancelled, skipped))
            lost[i] += standing is not None
            if standing in (StepState.COMPLETED, StepState.SKIPPED):
                alternatives[i] = standing
    released = {
        i for i in alive if lost[i] and lost[i] == world.pending(i) and i not in world.executing
    }
    decrements = {i: n for i, n in lost.items() if n}
    return Followed(cancelled, skipped, decrements, released, alternatives)


@settings(deadline=None, max_examples=500)
@given(worlds())
def test_the_cascade_is_the_fix_point(world: World) -> None:
    plan = world.run()
    expected = naive(world)
    cancelled = expected.cancelled
    assert set(plan.cancelled) == cancelled
    assert set(plan.skipped) == expected.skipped
    assert plan.decrements == expected.decrements
    assert plan.released == tuple(sorted(expected.released))
    assert plan.alternatives == expected.alternatives
    for job_id, cause in plan.cancelled.items():
        blamed = int(cause.name[1:])
        assert blamed in doomed_by(world, job_id, cancelled, expected.skipped)
        assert cause.state is world.ended.get(blamed, StepState.CANCELLED)
        assert cause.gone == (blamed in world.gone and not cause.last)
    for job_id, cause in plan.skipped.items():
        assert int(cause.name[1:]) in (*world.deps[job_id], *world.any_of[job_id])
        assert cause.state is StepState.SKIPPED


@settings(deadline=None)
@given(st.data(), worlds())
def test_the_order_of_settlements_changes_nothing(data: st.DataObject, world: World) -> None:
    order = data.draw(st.permutations(list(world.ended)))
    first, second = world.run(), world.run(list(order))
    assert first == second
    assert list(first.cancelled) == list(second.cancelled)
    assert list(first.skipped) == list(second.skipped)


@settings(deadline=None)
@given(worlds())
def test_a_cause_is_cancelled_before_what_it_causes(world: World) -> None:
    order = list(world.run().cancelled)
    for job_id, cause in world.run().cancelled.items():
        blamed = int(cause.name[1:])
        assert blamed in world.ended or order.index(blamed) < order.index(job_id)


def node(name: str, pending: int = 1, *dependents: int, executing: bool = False) -> GraphNode:
    return GraphNode(name, pending, DependencyRules(), dependents, pending, executing)


def test_a_step_that_is_both_released_and_doomed_is_cancelled_once() -> None:
    settled = [Ended(1, "a", StepState.COMPLETED, (3,)), Ended(2, "b", StepState.DISCARDED, (3,))]
    assert cascade(settled, {3: node("c", 2)}) == Cascade(
        {3: Cause("b", StepState.DISCARDED)}, {}, {}, (), {}
    )


def test_the_nearest_dependency_of_the_least_id_is_the_cause() -> None:
    settled = [
        Ended(9, "far", StepState.CANCELLED, (5, 6)),
        Ended(2, "near", StepState.DISCARDED, (6,)),
    ]
    plan = cascade(settled, {5: node("e", 1, 6), 6: node("f", 3)})
    assert plan.cancelled == {
        5: Cause("far", StepState.CANCELLED),
        6: Cause("near", StepState.DISCARDED),
    }


def test_the_least_id_is_the_cause_further_down_too() -> None:
    nodes = {4: node("d", 1, 6), 5: node("e", 1, 6), 6: node("f", 2)}
    plan = cascade([Ended(1, "a", StepState.CANCELLED, (5, 4))], nodes)
    assert plan.cancelled[6] == Cause("d", StepState.CANCELLED)


def test_an_executing_step_is_counted_and_left_alone() -> None:
    settled = [Ended(1, "a", StepState.CANCELLED, (2,))]
    nodes = {2: node("b", 1, 3, executing=True), 3: node("c")}
    assert cascade(settled, nodes) == Cascade({}, {}, {2: 1}, (), {})


def test_a_counter_never_falls_below_zero() -> None:
    settled = [
        Ended(1, "a", StepState.COMPLETED, (3, 4)),
        Ended(2, "b", StepState.COMPLETED, (3, 4)),
    ]
    assert cascade(settled, {3: node("c", 0), 4: node("d", 1)}) == Cascade({}, {}, {4: 1}, (4,), {})


@pytest.mark.parametrize("ignore", [False, True])
def test_no_flag_applies_to_a_vanished_job(ignore: bool) -> None:
    rules = DependencyRules(ignore, ignore)
    nodes = {
        2: GraphNode("b", 1, rules, (3,), 1),
        3: GraphNode("c", 1, DependencyRules(True, True), (), 1),
    }
    plan = cascade([Ended(1, "a", StepState.CANCELLED, (2,))], nodes, gone={1})
    assert plan == Cascade({2: Cause("a", StepState.CANCELLED, gone=True)}, {}, {3: 1}, (3,), {})


def test_a_chain_is_skipped_to_its_end_and_the_cause_is_the_last_dependency() -> None:
    settled = [Ended(1, "a", StepState.SKIPPED, (3,)), Ended(2, "b", StepState.SKIPPED, (3,))]
    plan = cascade(settled, {3: node("c", 2, 4), 4: node("d")})
    assert plan == Cascade(
        {}, {3: Cause("b", StepState.SKIPPED), 4: Cause("c", StepState.SKIPPED)}, {}, (), {}
    )


def test_a_skip_beside_another_end_releases() -> None:
    settled = [Ended(1, "a", StepState.SKIPPED, (3,)), Ended(2, "b", StepState.COMPLETED, (3,))]
    assert cascade(settled, {3: node("c", 2)}) == Cascade({}, {}, {3: 2}, (3,), {})


def test_nothing_settled_nothing_follows() -> None:
    assert cascade({}, {1: node("a")}) == Cascade({}, {}, {}, (), {})


def test_a_long_chain_and_a_wide_star_need_no_recursion() -> None:
    size = 100_000
    chain = {i: node(f"s{i}", 1, *((i + 1,) if i < size else ())) for i in range(2, size + 1)}
    first = [Ended(1, "s1", StepState.CANCELLED, (2,))]
    assert len(cascade(first, chain).cancelled) == size - 1
    star = {i: node(f"s{i}", 1, size + 1) for i in range(2, size + 1)} | {
        size + 1: node("end", size)
    }
    root = [Ended(1, "s1", StepState.COMPLETED, tuple(range(2, size + 1)))]
    assert len(cascade(root, star).released) == size - 1
    doomed = [Ended(1, "s1", StepState.DISCARDED, tuple(range(2, size + 1)))]
    assert len(cascade(doomed, star).cancelled) == size
