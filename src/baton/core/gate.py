"""Whether a step may run, and what follows downstream when steps settle.

A dependency that completed is satisfied. One that was cancelled or discarded is satisfied for a
step that ignores this, and dooms every other: it is cancelled too. One whose job vanished before
it settled dooms its dependents whatever they ignore. One that was skipped is satisfied; a step
whose dependencies were all skipped is skipped too, unless it runs when skipped. Every other
dependency is waited for.

Alternatives (`any_of`) count as one dependency: satisfied by the first of them that completed, or
failed and is ignored; when all have settled and none did that, it was skipped if one of them was,
else it dooms. One that vanished counts as cancelled. A step whose condition is not met is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

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
    """A dependency as found: its node's settled state, its job's state (None: the job is gone).
    `alternative`: it is one of those of which the step needs any.
    """

    name: str
    settled: StepState | None
    job_state: JobState | None
    alternative: bool = False


class Cause(NamedTuple):
    """The dependency that decided, and its state: its job's until it has settled. `gone`: its job
    vanished, as if cancelled. `last`: it was the last of the alternatives, none of which completed.
    """

    name: str
    state: StepState | JobState
    gone: bool = False
    last: bool = False

    @property
    def reason(self) -> str:
        """For people: the text of a cancelled job's error."""
        if self.last:
            return f"none of its alternatives was completed, the last of them {self.name!r}"
        if self.gone:
            return (
                f"dependency {self.name!r} vanished: its job was deleted before it settled;"
                f" {PERHAPS_COMPLETED}"
            )
        if isinstance(self.state, JobState) and self.state in TERMINAL_STATES:
            return f"dependency {self.name!r} has not settled yet, and its job is {self.state}"
        if self.state is StepState.SKIPPED:
            return f"all its dependencies were skipped, the last of them {self.name!r}"
        if self.state in FAILED_STATES:
            return f"dependency {self.name!r} was {self.state}"
        return f"dependency {self.name!r} is {self.state}"


class Decision(NamedTuple):
    """A verdict, with its cause unless the step may run: a dependency, or a condition that is not
    met, as `unmet` tells people.
    """

    verdict: Verdict
    cause: Cause | None = None
    unmet: str | None = None

    @property
    def reason(self) -> str:
        """For people; empty when the step may run."""
        return self.cause.reason if self.cause else self.unmet or ""


def decide(
    dependencies: Iterable[Dependency],
    rules: DependencyRules,
    unmet: str | None = None,
    *,
    undecided: bool = False,
) -> Decision:
    """The verdict on a step. Cancel beats hold beats run; the first dependency to blame is named.
    Skip, when all were skipped, names the last. `unmet` is why the step's condition is not met,
    once all dependencies have settled.

    The settled state of a dependency is the truth; the state of its job counts only before that.
    It is not enough for a condition: a step that is `undecided` is held until all have settled at
    which that may look.
    """
    held: Cause | None = None
    skipped: Cause | None = None
    satisfied = rules.run_when_skipped
    found = list(dependencies)
    for cause in _causes(found, rules):
        if dooms(cause, rules):
            return Decision(Verdict.CANCEL, cause)
        if isinstance(cause.state, JobState):
            held = held or cause
        elif cause.state is StepState.SKIPPED:
            skipped = cause
        else:
            satisfied = True
    if held:
        return Decision(Verdict.HOLD, held)
    if skipped and not satisfied:
        return Decision(Verdict.SKIP, skipped)
    if undecided and (ended := _unsettled(found)):
        return Decision(Verdict.HOLD, ended)
    return Decision(Verdict.RUN) if unmet is None else Decision(Verdict.SKIP, unmet=unmet)


def _unsettled(dependencies: Sequence[Dependency]) -> Cause | None:
    """The first dependency whose job has ended, and which has not settled: it has no result yet.
    There is no condition on alternatives.
    """
    for name, settled, job_state, alternative in dependencies:
        if settled is None and job_state is not None and not alternative:
            return Cause(name, job_state)
    return None


def _causes(dependencies: Sequence[Dependency], rules: DependencyRules) -> list[Cause]:
    """What each dependency says, and all alternatives together."""
    causes = [_cause(d) for d in dependencies if not d.alternative]
    alternatives = [_cause(d) for d in dependencies if d.alternative]
    if alternatives:
        causes.append(_together(alternatives, rules))
    return causes


def _cause(dependency: Dependency) -> Cause:
    state = dependency.settled or _ended(dependency.job_state)
    if state is None:
        return Cause(dependency.name, StepState.CANCELLED, gone=True)
    return Cause(dependency.name, state)


def _together(alternatives: Sequence[Cause], rules: DependencyRules) -> Cause:
    """The alternative that tells how all of them stand. One that vanished counts as cancelled."""
    alternatives = [cause._replace(gone=False) for cause in alternatives]
    for cause in alternatives:
        if isinstance(cause.state, StepState) and satisfies(cause, rules):
            return cause
    for cause in alternatives:
        if isinstance(cause.state, JobState):
            return cause
    last = [c for c in alternatives if c.state is StepState.SKIPPED] or alternatives
    return last[-1]._replace(last=True)


def holding(dependencies: Sequence[Dependency], rules: DependencyRules) -> list[Dependency]:
    """Those that have not ended and that the step waits for: alternatives only while it needs
    one.
    """
    needed = [d for d in dependencies if not d.alternative]
    alternatives = [d for d in dependencies if d.alternative]
    if alternatives and decide(alternatives, rules).verdict is Verdict.HOLD:
        needed += alternatives
    return [d for d in needed if isinstance(_cause(d).state, JobState)]


def _ended(job_state: JobState | None) -> StepState | JobState | None:
    """How a step settles whose job is in this state; the state itself of one that has not ended."""
    return StepState(job_state) if job_state in TERMINAL_STATES else job_state


def dooms(cause: Cause, rules: DependencyRules) -> bool:
    """Whether a dependency that ended so cancels a step with these rules."""
    if cause.gone:
        return True
    if cause.state is StepState.CANCELLED:
        return not rules.ignore_cancelled
    return cause.state is StepState.DISCARDED and not rules.ignore_discarded


def satisfies(cause: Cause, rules: DependencyRules) -> bool:
    """Whether a settled alternative is all that is needed."""
    return cause.state is not StepState.SKIPPED and not dooms(cause, rules)
