"""Whether a step may run, and what follows downstream when steps settle.

A dependency that completed is satisfied. One that was cancelled or discarded is satisfied for a
step that ignores this, and dooms every other: it is cancelled too. One whose job vanished before
it settled dooms its dependents whatever they ignore. One that was skipped is satisfied; a step
whose dependencies were all skipped is skipped too, unless it runs when skipped. Every other
dependency is waited for.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from baton.words.states import FAILED_STATES, TERMINAL_STATES, JobState, StepState

PERHAPS_COMPLETED = (
    "a host other than Baton may have completed it before, for Oban's Pruner deletes jobs by the"
    " age of their insertion: such a host has to call `check`, or the sweep to come sooner than the"
    " pruner"
)
"""What is to be known of a job that was deleted before its step settled."""


class Verdict(StrEnum):
    """What is to be done with a step."""

    RUN = "run"
    HOLD = "hold"
    CANCEL = "cancel"
    SKIP = "skip"


class DependencyRules(NamedTuple):
    """What a step says of its dependencies."""

    ignore_cancelled: bool = False
    ignore_discarded: bool = False
    run_when_skipped: bool = False


class Dependency(NamedTuple):
    """A dependency as found: its node's settled state, its job's state (None: the job is gone)."""

    name: str
    settled: StepState | None
    job_state: JobState | None


class Cause(NamedTuple):
    """The dependency that decided, and its state: its job's until it has ended. `gone`: its job
    vanished, as if cancelled.
    """

    name: str
    state: StepState | JobState
    gone: bool = False

    @property
    def reason(self) -> str:
        """For people: the text of a cancelled job's error."""
        if self.gone:
            return (
                f"dependency {self.name!r} vanished: its job was deleted before it settled;"
                f" {PERHAPS_COMPLETED}"
            )
        if self.state is StepState.SKIPPED:
            return f"all its dependencies were skipped, the last of them {self.name!r}"
        if self.state in FAILED_STATES:
            return f"dependency {self.name!r} was {self.state}"
        return f"dependency {self.name!r} is {self.state}"


class Decision(NamedTuple):
    """A verdict, with its cause unless the step may run."""

    verdict: Verdict
    cause: Cause | None = None

    @property
    def reason(self) -> str:
        """For people; empty when the step may run."""
        return self.cause.reason if self.cause else ""


class Settled(Protocol):
    """A step that settled, with the job ids of its dependents."""

    @property
    def job_id(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> StepState: ...

    @property
    def dependents(self) -> Sequence[int]: ...


class GraphNode(NamedTuple):
    """An unsettled step downstream of settled ones.

    `unskipped` counts the dependencies that had not been skipped before these settlements.
    `executing`: its job runs (moved by hand) or ended already; it settles by its own outcome.
    """

    name: str
    pending: int
    rules: DependencyRules
    dependents: Sequence[int]
    unskipped: int
    executing: bool = False


class Cascade(NamedTuple):
    """What follows from settlements, by job id.

    `cancelled` and `skipped`: steps with their causes, nearest first. `decrements`: what the
    `pending` of each other step loses. `released`: the steps whose last dependency settled,
    ascending.
    """

    cancelled: dict[int, Cause]
    skipped: dict[int, Cause]
    decrements: dict[int, int]
    released: tuple[int, ...]


def decide(dependencies: Iterable[Dependency], rules: DependencyRules) -> Decision:
    """The verdict on a step. Cancel beats hold beats run; the first dependency to blame is named.
    Skip, when all were skipped, names the last.

    The settled state of a dependency is the truth; the state of its job counts only before that.
    """
    held: Cause | None = None
    skipped: Cause | None = None
    satisfied = rules.run_when_skipped
    for name, settled, job_state in dependencies:
        state = settled or _ended(job_state)
        if state is None:
            return Decision(Verdict.CANCEL, Cause(name, StepState.CANCELLED, gone=True))
        cause = Cause(name, state)
        if _dooms(cause, rules):
            return Decision(Verdict.CANCEL, cause)
        if isinstance(state, JobState):
            held = held or cause
        elif state is StepState.SKIPPED:
            skipped = cause
        else:
            satisfied = True
    if held:
        return Decision(Verdict.HOLD, held)
    return Decision(Verdict.SKIP, skipped) if skipped and not satisfied else Decision(Verdict.RUN)


def _ended(job_state: JobState | None) -> StepState | JobState | None:
    """How a step settles whose job is in this state; the state itself of one that has not ended."""
    return StepState(job_state) if job_state in TERMINAL_STATES else job_state


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
    causes: dict[int, Cause] = {}
    states: dict[int, StepState] = {}
    lost: dict[int, int] = {}
    skips: dict[int, int] = {}
    wave = [
        (Cause(step.name, step.state, job_id in gone), step.dependents)
        for job_id, step in sorted(ended.items())
    ]
    while wave:
        following: list[int] = []
        for cause, dependents in wave:
            for job_id in dependents:
                node = nodes.get(job_id)
                if node is None or job_id in ended:
                    continue
                lost[job_id] = lost.get(job_id, 0) + 1
                skips[job_id] = skips.get(job_id, 0) + (cause.state is StepState.SKIPPED)
                if job_id in states or node.executing:
                    continue
                state = _follows(cause, node, skips[job_id])
                if state is not None:
                    states[job_id], causes[job_id] = state, cause
                    following.append(job_id)
        wave = [
            (Cause(nodes[job_id].name, states[job_id]), nodes[job_id].dependents)
            for job_id in sorted(following)
        ]
    decrements = _decrements({i: n for i, n in lost.items() if i not in states}, nodes)
    released = tuple(
        job_id
        for job_id, count in decrements.items()
        if count == nodes[job_id].pending and not nodes[job_id].executing
    )
    cancelled, skipped = (
        {job_id: cause for job_id, cause in causes.items() if states[job_id] is state}
        for state in (StepState.CANCELLED, StepState.SKIPPED)
    )
    return Cascade(cancelled, skipped, decrements, released)


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
        return StepState.CANCELLED if _dooms(cause, node.rules) else None
    unneeded = skips == node.unskipped and not node.rules.run_when_skipped
    return StepState.SKIPPED if unneeded else None


def _dooms(cause: Cause, rules: DependencyRules) -> bool:
    if cause.gone:
        return True
    if cause.state is StepState.CANCELLED:
        return not rules.ignore_cancelled
    return cause.state is StepState.DISCARDED and not rules.ignore_discarded
