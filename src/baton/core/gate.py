"""Whether a step may run, and what follows downstream when steps settle.

A dependency that completed is satisfied. One that was cancelled or discarded is satisfied for a
step that ignores this, and dooms every other: it is cancelled too. One whose job vanished before
it settled dooms its dependents whatever they ignore. Every other dependency is waited for.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from baton.words.states import JobState

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


class Dependency(NamedTuple):
    """A dependency as found: its node's settled state, its job's state (None: the job is gone)."""

    name: str
    settled: JobState | None
    job_state: JobState | None


class Cause(NamedTuple):
    """The dependency that decided, and its state. `gone`: its job vanished, as if cancelled."""

    name: str
    state: JobState
    gone: bool = False

    @property
    def reason(self) -> str:
        """For people: the text of a cancelled job's error."""
        if self.gone:
            return (
                f"dependency {self.name!r} vanished: its job was deleted before it settled;"
                f" {PERHAPS_COMPLETED}"
            )
        if self.state in _FAILED:
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
    def state(self) -> JobState: ...

    @property
    def dependents(self) -> Sequence[int]: ...


class GraphNode(NamedTuple):
    """An unsettled step downstream of settled ones.

    `executing`: its job runs (moved by hand) or ended already; it settles by its own outcome.
    """

    name: str
    pending: int
    ignore_cancelled: bool
    ignore_discarded: bool
    dependents: Sequence[int]
    executing: bool = False


class Cascade(NamedTuple):
    """What follows from settlements, by job id.

    `cancelled`: steps with their causes, nearest first. `decrements`: what the `pending` of each
    other step loses. `released`: the steps whose last dependency settled, ascending.
    """

    cancelled: dict[int, Cause]
    decrements: dict[int, int]
    released: tuple[int, ...]


_FAILED = frozenset({JobState.CANCELLED, JobState.DISCARDED})


def decide(
    dependencies: Iterable[Dependency], ignore_cancelled: bool, ignore_discarded: bool
) -> Decision:
    """The verdict on a step. Cancel beats hold beats run; the first dependency to blame is named.

    The settled state of a dependency is the truth; the state of its job counts only before that.
    """
    held: Cause | None = None
    for name, settled, job_state in dependencies:
        state = settled or job_state
        if state is None:
            return Decision(Verdict.CANCEL, Cause(name, JobState.CANCELLED, gone=True))
        if state is JobState.COMPLETED:
            continue
        cause = Cause(name, state)
        if state not in _FAILED:
            held = held or cause
        elif _dooms(cause, ignore_cancelled, ignore_discarded):
            return Decision(Verdict.CANCEL, cause)
    return Decision(Verdict.HOLD, held) if held else Decision(Verdict.RUN)


def cascade(
    settled: Iterable[Settled], nodes: Mapping[int, GraphNode], *, gone: Container[int] = ()
) -> Cascade:
    """All that follows from these settlements; linear in the edges touched, same in any order.

    `nodes` holds the unsettled steps below, by job id; a dependent that is not in it has settled
    already. `gone` are the ids of settled steps whose jobs vanished. A step the cascade cancels
    counts as settled for its own dependents. A step doomed by several dependencies is cancelled
    once, because of the nearest one, of these the one with the least job id.
    """
    ended = {step.job_id: step for step in settled}
    cancelled: dict[int, Cause] = {}
    lost: dict[int, int] = {}
    wave = [
        (Cause(step.name, step.state, job_id in gone), step.dependents)
        for job_id, step in sorted(ended.items())
    ]
    while wave:
        doomed: list[int] = []
        for cause, dependents in wave:
            for job_id in dependents:
                node = nodes.get(job_id)
                if node is None or job_id in ended:
                    continue
                lost[job_id] = lost.get(job_id, 0) + 1
                if job_id in cancelled or node.executing:
                    continue
                if _dooms(cause, node.ignore_cancelled, node.ignore_discarded):
                    cancelled[job_id] = cause
                    doomed.append(job_id)
        wave = [
            (Cause(nodes[job_id].name, JobState.CANCELLED), nodes[job_id].dependents)
            for job_id in sorted(doomed)
        ]
    # A counter must not fall below zero: the table would refuse it at every try, for ever.
    decrements = {
        job_id: min(count, nodes[job_id].pending)
        for job_id, count in sorted(lost.items())
        if job_id not in cancelled and nodes[job_id].pending > 0
    }
    released = tuple(
        job_id
        for job_id, count in decrements.items()
        if count == nodes[job_id].pending and not nodes[job_id].executing
    )
    return Cascade(cancelled, decrements, released)


def _dooms(cause: Cause, ignore_cancelled: bool, ignore_discarded: bool) -> bool:
    if cause.gone:
        return True
    if cause.state is JobState.CANCELLED:
        return not ignore_cancelled
    return cause.state is JobState.DISCARDED and not ignore_discarded
