"""What follows downstream when steps settle: who is cancelled, skipped, released. The rules are
those of `gate`.

Idea: settlements spread in waves. Each wave takes a dependency off what hangs on it; what that
dooms, or leaves without a reason to run, settles and is part of the next wave.

Invariant: the same settlements have the same consequences in any order, also of the waves: a step
that was doomed by one dependency is not released by another, alternatives end as satisfied if one
of them ever satisfies.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from baton.core.gate import Cause, DependencyRules, dooms, satisfies
from baton.words.states import StepState


class Upstream(Protocol):
    """A step with the job ids of its dependents, and of those of which it is an alternative."""

    @property
    def dependents(self) -> Sequence[int]: ...

    @property
    def any_dependents(self) -> Sequence[int]: ...


class Settled(Upstream, Protocol):
    """A step that settled."""

    @property
    def job_id(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> StepState: ...


class Alternatives(NamedTuple):
    """The alternatives of a step, none of which had satisfied it before these settlements: how many
    had not settled, and whether one had been skipped.
    """

    left: int
    skipped: bool


class GraphNode(NamedTuple):
    """An unsettled step downstream of settled ones.

    `unskipped` counts the dependencies that had not been skipped before these settlements, all
    alternatives as one. `alternatives` is None for a step that has none, or needs none any more.
    `executing`: its job runs (moved by hand) or ended already; it settles by its own outcome.
    """

    name: str
    pending: int
    rules: DependencyRules
    dependents: Sequence[int]
    unskipped: int
    executing: bool = False
    any_dependents: Sequence[int] = ()
    alternatives: Alternatives | None = None


class Cascade(NamedTuple):
    """What follows from settlements, by job id.

    `cancelled` and `skipped`: steps with their causes, nearest first. `decrements`: what the
    `pending` of each other step loses. `released`: the steps whose last dependency settled,
    ascending. `alternatives`: how those of each other step ended, as completed or skipped.
    """

    cancelled: dict[int, Cause]
    skipped: dict[int, Cause]
    decrements: dict[int, int]
    released: tuple[int, ...]
    alternatives: dict[int, StepState]


def cascade(
    settled: Iterable[Settled], nodes: Mapping[int, GraphNode], *, gone: Container[int] = ()
) -> Cascade:
    """All that follows from these settlements; linear in the edges touched, same in any order.

    `nodes` holds the unsettled steps below, by job id; a dependent that is not in it has settled
    already. `gone` are the ids of settled steps whose jobs vanished. A step that the cascade
    cancels or skips counts as settled for its own dependents. A step doomed by several
    dependencies is cancelled once, because of the nearest one, of these the one with the least job
    id.
    """
    ended = {step.job_id: step for step in settled}
    walk = _Walk(nodes, ended)
    wave: list[tuple[Cause, Upstream]] = [
        (Cause(step.name, step.state, job_id in gone), step)
        for job_id, step in sorted(ended.items())
    ]
    while wave:
        walk.following = []
        for cause, step in wave:
            for job_id in step.dependents:
                walk.touch(job_id, cause)
            for job_id in step.any_dependents:
                walk.touch_as_alternative(job_id, cause)
        wave = [
            (Cause(nodes[job_id].name, walk.states[job_id]), nodes[job_id])
            for job_id in sorted(walk.following)
        ]
    return walk.result()


class _Walk:
    """What the waves have done so far, by job id."""

    def __init__(self, nodes: Mapping[int, GraphNode], ended: Container[int]) -> None:
        self._nodes = nodes
        self._ended = ended
        self._causes: dict[int, Cause] = {}
        self._lost: dict[int, int] = {}
        self._skips: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._skipped_alternatives: set[int] = set()
        self._alternatives: dict[int, StepState] = {}
        self.states: dict[int, StepState] = {}
        self.following: list[int] = []

    def touch(self, job_id: int, cause: Cause) -> None:
        """Take a settled dependency off a step."""
        node = self._nodes.get(job_id)
        if node is not None and job_id not in self._ended:
            self._take_off(job_id, node, cause)

    def touch_as_alternative(self, job_id: int, cause: Cause) -> None:
        """Have a settled step count as one of the alternatives of another."""
        node = self._nodes.get(job_id)
        if node is None or node.alternatives is None or job_id in self._ended:
            return
        if job_id in self._alternatives:
            return
        # One that vanished is as good as cancelled: others may be enough, and it is stored so.
        cause = cause._replace(gone=False)
        if satisfies(cause, node.rules):
            self._alternatives[job_id] = StepState.COMPLETED
            self._take_off(job_id, node, cause)
            return
        if cause.state is StepState.SKIPPED:
            self._skipped_alternatives.add(job_id)
        self._left[job_id] = self._left.get(job_id, node.alternatives.left) - 1
        if self._left[job_id] == 0:
            skipped = node.alternatives.skipped or job_id in self._skipped_alternatives
            together = cause._replace(last=True)
            if skipped:
                together = Cause(cause.name, StepState.SKIPPED, last=True)
            self._alternatives[job_id] = StepState(together.state)
            self._take_off(job_id, node, together)

    def _take_off(self, job_id: int, node: GraphNode, cause: Cause) -> None:
        self._lost[job_id] = self._lost.get(job_id, 0) + 1
        skipped = cause.state is StepState.SKIPPED
        self._skips[job_id] = self._skips.get(job_id, 0) + skipped
        if job_id in self.states or node.executing:
            return
        state = _follows(cause, node, self._skips[job_id])
        if state is not None:
            self.states[job_id], self._causes[job_id] = state, cause
            self.following.append(job_id)

    def result(self) -> Cascade:
        others = {i: n for i, n in self._lost.items() if i not in self.states}
        decrements = _decrements(others, self._nodes)
        released = tuple(
            job_id
            for job_id, count in decrements.items()
            if count == self._nodes[job_id].pending and not self._nodes[job_id].executing
        )
        cancelled, skipped = (
            {i: cause for i, cause in self._causes.items() if self.states[i] is state}
            for state in (StepState.CANCELLED, StepState.SKIPPED)
        )
        # One that dooms a step that runs is left open: its gate is to see it.
        alternatives: dict[int, StepState] = {
            job_id: state
            for job_id, state in self._alternatives.items()
            if job_id in decrements and state in (StepState.COMPLETED, StepState.SKIPPED)
        }
        return Cascade(cancelled, skipped, decrements, released, alternatives)


def _decrements(lost: Mapping[int, int], nodes: Mapping[int, GraphNode]) -> dict[int, int]:
    # A counter must not fall below zero: the table would refuse it at every try, for ever.
    return {
        job_id: min(count, nodes[job_id].pending)
        for job_id, count in sorted(lost.items())
        if nodes[job_id].pending > 0
    }


def _follows(cause: Cause, node: GraphNode, skips: int) -> StepState | None:
    """How a step settles because of a dependency, with `skips` of them skipped by now."""
    if cause.state is not StepState.SKIPPED:
        return StepState.CANCELLED if dooms(cause, node.rules) else None
    unneeded = skips == node.unskipped and not node.rules.run_when_skipped
    return StepState.SKIPPED if unneeded else None
