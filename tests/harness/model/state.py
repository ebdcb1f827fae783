"""What the rows must be, in plain Python: workflows, steps, jobs, waits, events.

Nothing here knows a database, a clock or the library. Whoever may break between two commits is a
generator that yields before each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from model import needs
from model.needs import Condition

TERMINAL = frozenset({"completed", "cancelled", "discarded"})
FAILED = frozenset({"cancelled", "discarded"})
SETTLED = TERMINAL | {"skipped"}
GONE = "gone"
NOT_CLAIMED = -1
MOVED = -2
"""The claim of a job that somebody has completed by hand: nobody holds it."""


@dataclass(frozen=True)
class Wait:
    """What is waited for; `timeout` is None, 0 or so far away that only a rule makes it pass."""

    names: tuple[str, ...]
    need: int
    timeout: float | None = None
    on_timeout: str = "result"
    key: str | None = None
    default: bool = False


@dataclass(frozen=True)
class NewStep:
    """`deps` are what it needs, of `any_of` one is enough; one `on_failure` ignores failures."""

    name: str
    deps: tuple[str, ...] = ()
    ignore_cancelled: bool = False
    ignore_discarded: bool = False
    run_when_skipped: bool = False
    max_attempts: int = 1
    priority: int = 0
    queue: str = "default"
    later: bool = False
    wait: Wait | None = None
    any_of: tuple[str, ...] = ()
    when: Condition = field(default_factory=dict)
    unless: Condition = field(default_factory=dict)
    on_failure: bool = False

    @property
    def conditional(self) -> bool:
        return bool(self.when or self.unless or self.on_failure)

    @property
    def ignored(self) -> set[str]:
        chosen = {"cancelled": self.ignore_cancelled, "discarded": self.ignore_discarded}
        return {state for state, ignores in chosen.items() if ignores}


@dataclass
class Job:
    """`stamp` orders jobs by their schedule; `due`: it has come. `claim` is the last one's number,
    `holder` who made it. `explained` are the attempts of which an error is noted, `last` the one of
    the last error; those that `raised` ended by an error of the step's code.
    """

    state: str
    max_attempts: int
    stamp: int
    due: bool
    attempt: int = 0
    claim: int = NOT_CLAIMED
    holder: int | None = None
    errors: int = 0
    given: int = 0
    explained: set[int] = field(default_factory=set)
    raised: set[int] = field(default_factory=set)
    last: int | None = None
    rescues: int = 0

    def note(self) -> None:
        """An error of this attempt."""
        self.errors += 1
        self.explained.add(self.attempt)
        self.last = self.attempt


@dataclass(eq=False)
class Event:
    """By a key or for a workflow. `overdue`: whoever looks for unfinished work finds it. `newest`
    is the last group there was when somebody first looked at one that was sent by a key.
    """

    number: int
    name: str
    workflow: int | None
    key: str | None
    dedupe_id: str | None
    state: str = "kept"
    taken_by: str | None = None
    receivers: int = 0
    duplicates: int = 0
    overdue: int | None = None
    newest: int | None = None

    def is_for(self, group: Group) -> bool:
        """Nobody has it yet, or the group was there when somebody first looked at it."""
        return not self.receivers or (self.newest is not None and group.order <= self.newest)


@dataclass(eq=False)
class Group:
    """`cutoff`: time is over, and events after this number are late. `due`: somebody has to look,
    in this order. `unmet`: it was cancelled because its step ended. `begun`: its time has run.
    """

    order: int
    step: Step
    key: str
    wait: Wait
    status: str = "dormant"
    received: dict[str, Event] = field(default_factory=dict)
    cutoff: int | None = None
    due: int | None = None
    unmet: bool = False
    begun: bool = False

    @property
    def id(self) -> str:
        return f"{self.step.id}/{self.key}"

    @property
    def open(self) -> bool:
        return self.status in ("dormant", "pending")

    @property
    def left(self) -> int:
        return self.wait.need - len(self.received)

    @property
    def waiting(self) -> list[str]:
        names = self.wait.names if self.open else ()
        return [name for name in names if name not in self.received]

    def outcome(self) -> dict[str, Any]:
        arrived = sorted(self.received.items(), key=lambda item: item[1].number)
        found: dict[str, Any] = {
            "outcome": "events" if self.status == "completed" else self.status,
            "winner": arrived[0][0] if arrived else None,
            "order": [name for name, _ in arrived],
            "events": {name: event.number for name, event in arrived},
            "missing": [name for name in self.wait.names if name not in self.received],
        }
        if self.status == "timeout" and self.wait.default:
            found["default"] = None
        if self.status == "cancelled":
            found["reason"] = "no"
        return found


def settled_state(step: Step) -> str | None:
    return step.settled


def _found_state(step: Step) -> str | None:
    """As the gate finds it: an ended job counts before its step has settled."""
    if step.settled is None and step.job is None:
        return GONE
    return step.settled or (step.state if step.state in TERMINAL else None)


@dataclass(eq=False)
class Step:
    """A node with its job, which may be gone; `script` are the waits its body came to. `born` is
    the stamp of its insertion, `kept` what is known of a job that is gone, `base` the attempts that
    a retry forgave, `ahead` the claim that had begun before a retry took back what it depends on.
    Since its last reset it was claimed (`begun`), or cancelled by its name (`named`). `dependents`
    are also those of which it is an alternative. `undecided`: its condition is to be decided.
    """

    id: int
    workflow: Workflow
    new: NewStep
    job: Job | None
    deps: list[Step] = field(default_factory=list)
    any_of: list[Step] = field(default_factory=list)
    dependents: list[Step] = field(default_factory=list)
    settled: str | None = None
    result: dict[str, Any] | None = None
    groups: dict[str, Group] = field(default_factory=dict)
    script: list[Wait] = field(default_factory=list)
    born: int = 0
    kept: tuple[int, int, int] = (0, 0, 0)
    base: int = 0
    ahead: int | None = None
    history: list[list[Any]] = field(default_factory=list)
    begun: bool = False
    named: bool = False
    undecided: bool = False

    def lose_job(self) -> None:
        if self.job is not None:
            self.kept = self.job.attempt, self.job.max_attempts, self.job.given
            self.job = None

    @property
    def gate(self) -> Group | None:
        return self.groups.get("")

    @property
    def tried(self) -> bool:
        """Whether it has begun since its last reset, as far as that is known."""
        attempted = self.kept[0] > self.base if self.job is None else self.begun
        return attempted or any(group.begun for group in self.groups.values())

    @property
    def waits(self) -> bool:
        """Whether a wait of it is open; a gate's is from the beginning."""
        return any(group.open for group in self.groups.values())

    @property
    def state(self) -> str | None:
        return None if self.job is None else self.job.state

    @property
    def busy(self) -> bool:
        """It settles by its own outcome, whatever becomes of what it depends on."""
        return self.state == "executing" or self.state in TERMINAL

    def standings(self, state_of: Callable[[Step], str | None] = settled_state) -> list[str]:
        """How each dependency stands, and all alternatives together."""
        ignored = self.new.ignored
        found = [needs.standing(state_of(dep), ignored) for dep in self.deps]
        return [*found, self.alternatives(state_of)] if self.any_of else found

    def alternatives(self, state_of: Callable[[Step], str | None] = settled_state) -> str:
        states = ["cancelled" if (s := state_of(one)) == GONE else s for one in self.any_of]
        return needs.together([needs.standing(state, self.new.ignored) for state in states])

    @property
    def doomed(self) -> bool:
        return needs.DOOMS in self.standings()

    @property
    def unneeded(self) -> bool:
        """All it depends on was skipped."""
        return not self.new.run_when_skipped and set(self.standings()) == {needs.SKIPPED}

    @property
    def pending(self) -> int:
        """What it waits for, also the end of a pause; a gate's own count is never taken off, and
        the decision on its condition has the same place. One that runs though it is to be
        cancelled or skipped waits for more than can come.
        """
        count = self.standings().count(needs.OPEN)
        count += self.gate is not None or self.waits or self.undecided
        count += self.workflow.paused
        return max(count, 1) if self.doomed or self.unneeded else count

    @property
    def ripe(self) -> bool:
        """Whether its condition is to be decided now."""
        left = self.undecided and self.settled is None and not self.workflow.paused
        return left and needs.OPEN not in self.standings() and not (self.doomed or self.unneeded)

    @property
    def met(self) -> bool:
        """Whether its condition is, all it depends on having settled."""
        new, results = self.new, {dep.new.name: dep.result for dep in self.deps}
        if new.on_failure and not any(dep.settled in FAILED for dep in self.deps):
            return False
        if not all(needs.contained(new.when, results)):
            return False
        return not (new.unless and all(needs.contained(new.unless, results)))

    def gates(self) -> str:
        """run, hold, cancel or skip, as the worker's gate decides."""
        found = self.standings(_found_state)
        if needs.DOOMS in found:
            return "cancel"
        if needs.OPEN in found:
            return "hold"
        if set(found) == {needs.SKIPPED} and not self.new.run_when_skipped:
            return "skip"
        if not self.undecided:
            return "run"
        # The job of one has ended, and nobody has seen it: it has no result to decide on.
        if any(dep.settled is None for dep in self.deps):
            return "hold"
        return "run" if self.met else "skip"


@dataclass(eq=False)
class Workflow:
    """`completions` are those recorded, by run; `overdue`: its deadline has passed, in this order.
    `actions` are what was done to it: what, in which run, to which step.
    """

    number: int
    steps: list[Step] = field(default_factory=list)
    run: int = 1
    completions: dict[int, list[Any]] = field(default_factory=dict)
    paused: bool = False
    deadline: bool = False
    overdue: int | None = None
    actions: list[list[Any]] = field(default_factory=list)

    def note(self, action: str, step: str | None = None) -> None:
        self.actions.append([action, self.run, step])

    def find(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.new.name == name), None)

    def unsettled(self) -> list[Step]:
        return [step for step in self.steps if step.settled is None]

    @property
    def announced(self) -> bool:
        return self.run in self.completions

    def announce(self) -> None:
        failed = self.failed
        outcome = "completed"
        if failed:
            discarded = any(step.settled == "discarded" for step in self.steps)
            outcome = "failed" if discarded else "cancelled"
        self.completions[self.run] = [outcome, failed, self.skipped, len(failed), len(self.steps)]

    @property
    def outstanding(self) -> int:
        return sum(step.settled is None for step in self.steps)

    @property
    def failed(self) -> list[str]:
        return [step.new.name for step in self.steps if step.settled in FAILED]

    @property
    def skipped(self) -> list[str]:
        return [step.new.name for step in self.steps if step.settled == "skipped"]


class Entry(NamedTuple):
    """How a step ends. `derived`: because of what it depends on, and its job with it."""

    step: Step
    state: str
    result: dict[str, Any] | None = None
    gone: bool = False
    derived: bool = False
