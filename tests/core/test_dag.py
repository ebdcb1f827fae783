"""Graphs: order, errors, and that the order of adding steps does not decide the verdict."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from baton.core.dag import topological_order
from baton.errors import (
    CycleError,
    DuplicateStepError,
    EmptyWorkflowError,
    GraphError,
    SelfDependencyError,
    UnknownDependencyError,
)
from baton.words.rows import NewStep


@dataclass(frozen=True)
class S:
    name: str
    deps: Sequence[str] = ()


def graph(**deps: str) -> list[S]:
    return [S(name, tuple(text)) for name, text in deps.items()]


NAMES = st.sampled_from("abcdefgh")


@st.composite
def acyclic(draw: st.DrawFn) -> list[S]:
    names = draw(st.lists(st.text(min_size=1, max_size=3), unique=True, min_size=1, max_size=10))
    steps = [
        S(name, draw(st.lists(st.sampled_from(names[:at]), max_size=5)) if at else ())
        for at, name in enumerate(names)
    ]
    return list(draw(st.permutations(steps)))


@st.composite
def known_steps_only(draw: st.DrawFn) -> list[S]:
    names = draw(st.lists(NAMES, unique=True, min_size=2))
    return [
        S(name, draw(st.lists(st.sampled_from([n for n in names if n != name]), max_size=2)))
        for name in names
    ]


def any_graph() -> st.SearchStrategy[list[S]]:
    wild = st.lists(st.builds(S, NAMES, st.lists(NAMES, max_size=3)), max_size=8)
    return wild | known_steps_only()


def error_of(steps: list[S]) -> GraphError | None:
    try:
        topological_order(steps)
    except GraphError as error:
        return error
    return None


def verdict(steps: list[S]) -> type[GraphError | None]:
    return type(error_of(steps))


@settings(deadline=None, max_examples=300)
@given(acyclic())
def test_every_step_comes_after_its_dependencies(steps: list[S]) -> None:
    order = topological_order(steps)
    assert sorted(order) == sorted(step.name for step in steps)
    place = {name: at for at, name in enumerate(order)}
    assert all(place[dep] < place[step.name] for step in steps for dep in step.deps)


@settings(deadline=None, max_examples=500)
@given(any_graph())
def test_the_error_fits_the_graph(steps: list[S]) -> None:
    known = [step.name for step in steps]
    edges = {(dep, step.name) for step in steps for dep in step.deps}
    match error_of(steps):
        case EmptyWorkflowError():
            assert not steps
        case DuplicateStepError(step=step):
            assert known.count(step) > 1
        case SelfDependencyError(step=step):
            assert (step, step) in edges
        case UnknownDependencyError(step=step, dependency=dependency, known=told):
            assert dependency not in known
            assert (dependency, step) in edges
            assert told == tuple(known)
        case CycleError(path=path):
            assert path[0] == path[-1] == min(path)
            assert len(path) > 2
            assert len(set(path)) == len(path) - 1
            assert set(pairwise(path)) <= edges
        case None:
            assert steps
            assert len(set(known)) == len(known)
            assert all(dep in known for dep, _ in edges)
            assert _peels_off(steps)
        case other:
            raise AssertionError(other)


def _peels_off(steps: list[S]) -> bool:
    left = {step.name: set(step.deps) for step in steps}
    while free := [name for name, deps in left.items() if not deps & left.keys()]:
        for name in free:
            del left[name]
    return not left


@settings(deadline=None, max_examples=500)
@given(st.data(), any_graph())
def test_the_order_of_adding_does_not_decide(data: st.DataObject, steps: list[S]) -> None:
    other = list(data.draw(st.permutations(steps)))
    assert verdict(steps) == verdict(other)


@settings(deadline=None)
@given(st.permutations(graph(z="y", y="x", x="zw", w="v", v="wu", u="", t="z")))
def test_a_cycle_has_one_path_in_any_order(steps: list[S]) -> None:
    with pytest.raises(CycleError) as caught:
        topological_order(steps)
    assert caught.value.path == ("v", "w", "v")


def test_the_path_runs_from_each_step_to_its_dependent() -> None:
    with pytest.raises(CycleError) as caught:
        topological_order(graph(a="c", b="a", c="b"))
    assert caught.value.path == ("a", "b", "c", "a")


def test_the_order_given_is_kept_where_it_may_be() -> None:
    assert topological_order(graph(c="", a="", b="", d="ab")) == ("c", "a", "b", "d")
    assert topological_order([NewStep("b", "w", "{}", deps=("a",)), NewStep("a", "w", "{}")]) == (
        "a",
        "b",
    )


def test_a_repeated_dependency_counts_once() -> None:
    steps = [S("a"), S("b", ["a", "a", "a"])]
    assert topological_order(steps) == ("a", "b")


def test_the_worst_problem_is_named_first() -> None:
    assert verdict(graph(a="a", b="x", c="d", d="c")) is SelfDependencyError
    assert verdict(graph(b="x", c="d", d="c")) is UnknownDependencyError
    assert verdict([*graph(a="a", b="x"), S("b")]) is DuplicateStepError
    assert verdict(graph(a="ab", b="a")) is SelfDependencyError


def test_a_similar_name_is_suggested() -> None:
    with pytest.raises(UnknownDependencyError, match="did you mean 'fetch_token'") as caught:
        topological_order([S("fetch_token"), S("use", ["fetch_tokn"])])
    assert (caught.value.step, caught.value.dependency) == ("use", "fetch_tokn")
    many = [S(f"fetch_token{i}") for i in range(2_000)]
    with pytest.raises(UnknownDependencyError) as caught:
        topological_order([*many, S("use", ["fetch_tokn"])])
    assert "did you mean" not in str(caught.value)
    assert len(str(caught.value)) < 1_000


SIZE = 100_000
CHAIN = [S(f"s{i}", (f"s{i - 1}",) if i else ()) for i in range(SIZE)]
STAR = [
    S("root"),
    *(S(f"s{i}", ("root",)) for i in range(SIZE - 2)),
    S("end", [f"s{i}" for i in range(SIZE - 2)]),
]


@pytest.mark.parametrize("steps", [CHAIN, CHAIN[::-1], STAR, STAR[::-1]])
def test_large_graphs_take_little_processor_time(steps: list[S]) -> None:
    started = time.process_time()
    assert len(topological_order(steps)) == SIZE
    assert time.process_time() - started < 2


def test_a_large_cycle_is_found_without_recursion() -> None:
    loop = [S(f"s{i}", (f"s{(i - 1) % SIZE}",)) for i in range(SIZE)]
    with pytest.raises(CycleError) as caught:
        topological_order(loop)
    assert len(caught.value.path) == SIZE + 1
    assert len(str(caught.value)) < 1_000
