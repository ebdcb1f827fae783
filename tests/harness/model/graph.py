"""How steps settle and waits are decided, in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from model.needs import DOOMS, OPEN, SKIPPED, standing
from model.state import GONE, TERMINAL, Entry, Event, Group, Job, NewStep, Step, Workflow


@dataclass
class Graph:
    """Workflows and the mailbox; how steps settle and waits are decided. `noted` is what no row
    shows.
    """

    workflows: dict[int, Workflow] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    sent: int = 0
    clock: int = 0
    waits_told: int = 0
    announcements: dict[int, int] = field(default_factory=dict)
    noted: Counter[str] = field(default_factory=Counter)

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    @property
    def steps(self) -> Iterator[Step]:
        for workflow in self.workflows.values():
            yield from workflow.steps

    @property
    def groups(self) -> Iterator[Group]:
        for step in self.steps:
            yield from step.groups.values()

    def insert(
        self, number: int, new: Sequence[NewStep], ids: Sequence[int], *, deadline: bool = False
    ) -> None:
        """A valid graph; the job ids are the ones the database gave."""
        workflow = self.workflows[number] = Workflow(number, deadline=deadline)
        stamp = self.tick()
        named: dict[str, Step] = {}
        for one, job_id in zip(new, ids, strict=True):
            state = "scheduled" if one.later else "available"
            if one.deps or one.any_of or one.wait:
                state = "suspended"
            job = Job(state, one.max_attempts, stamp, due=not one.later)
            step = named[one.name] = Step(job_id, workflow, one, job, born=stamp)
            step.undecided = one.conditional
        workflow.steps = list(named.values())
        for step in workflow.steps:
            step.deps = [named[name] for name in step.new.deps]
            step.any_of = [named[name] for name in step.new.any_of]
            for dep in (*step.deps, *step.any_of):
                dep.dependents.append(step)
        roots = []
        for step in workflow.steps:
            if step.new.wait is not None:
                step.groups[""] = Group(self.tick(), step, "", step.new.wait)
                if not (step.deps or step.any_of):
                    roots.append(step)
        # What lies there already is left to the timer.
        self.arm(roots, new=True)

    def settle(
        self,
        entries: Iterable[Entry],
        rooms: Mapping[str, int] | None = None,
        *,
        new: bool = False,
    ) -> list[Step]:
        """Settle steps and all that follows; returns the jobs handed over to who has room. `new`:
        some of what begins to wait was put back in the same transaction.
        """
        taken, armed = self._settled(entries, rooms, new=new)
        self.decide(armed)
        return taken

    def _settled(
        self,
        entries: Iterable[Entry],
        rooms: Mapping[str, int] | None = None,
        *,
        new: bool = False,
    ) -> tuple[list[Step], list[Group]]:
        ended, touched, at_once = self._cascade(entries)
        taken = self.release(at_once, rooms or {})
        return taken, self._opened(touched, ended, new=new)

    def open_steps(self, steps: Iterable[Step], *, new: bool = False) -> None:
        """Decide what is to be decided of steps, and begin their waits, where nothing else is left
        to wait for. `new`: see `settle`.
        """
        self.decide(self._opened(steps, [], new=new))

    def _opened(
        self, steps: Iterable[Step], ended: Iterable[Step], *, new: bool = False
    ) -> list[Group]:
        touched = {step.id: step for step in steps}
        over = list(ended)
        while unmet := self._judged(touched.values()):
            skipped, below, _ = self._cascade(unmet)
            over += skipped
            touched.update((step.id, step) for step in below)
        for step in over:
            self.close_waits(step)
        waiting = [touched[i] for i in sorted(touched) if touched[i].settled is None]
        self.release([step for step in waiting if step.pending == 0], {})
        armed = self.arm(filter(is_armed, waiting), new=new)
        self.announce({step.workflow.number for step in over})
        return armed

    def _judged(self, steps: Iterable[Step]) -> list[Entry]:
        """Decide conditions; how the steps end whose are not met, unless they run."""
        unmet: list[Entry] = []
        for step in steps:
            if step.ripe:
                step.undecided = not step.met
                self.noted["condition: unmet" if step.undecided else "condition: met"] += 1
                if step.undecided and step.busy:
                    self.noted["condition: unmet, and the step runs"] += 1
                elif step.undecided:
                    unmet.append(Entry(step, "skipped", derived=True))
        return unmet

    def _cascade(self, entries: Iterable[Entry]) -> tuple[list[Step], list[Step], list[Step]]:
        """Settle steps, and what follows without a look at conditions. Returns what has settled,
        what it touched, and of this what waits for nothing more and may be handed over: not what
        an alternative was enough for.
        """
        ended: list[Step] = []
        touched: dict[int, Step] = {}
        satisfied: set[int] = set()
        wave = [(one, self._mark(one)) for one in entries if one.step.settled is None]
        while wave:
            following: list[tuple[Entry, list[Step]]] = []
            for entry, hanging in wave:
                ended.append(entry.step)
                for below in hanging:
                    if below.settled is not None:
                        continue
                    touched[below.id] = below
                    satisfied |= {below.id} if entry.step in below.any_of else set()
                    state = _follows(entry, below)
                    if not below.busy and state is not None:
                        follower = Entry(below, state, derived=True)
                        following.append((follower, self._mark(follower)))
            wave = following
        waiting = [step for step in touched.values() if step.settled is None]
        at_once = [s for s in waiting if s.pending == 0 and s.id not in satisfied]
        return ended, list(touched.values()), at_once

    def _mark(self, entry: Entry) -> list[Step]:
        """Note how a step ends; returns the steps that depend on it, those of which it is an
        alternative only if that decides how all of them stand.
        """
        step = entry.step
        open_before = [s for s in step.dependents if step in s.any_of and s.alternatives() == OPEN]
        step.settled, step.result = entry.state, entry.result
        if entry.derived:
            self.end_job(step, "cancelled", error=True)
        decided = [below for below in open_before if below.alternatives() != OPEN]
        for below in decided:
            self.noted[f"alternatives: {below.alternatives()}"] += below.settled is None
        return [below for below in step.dependents if step in below.deps or below in decided]

    def release(self, steps: Sequence[Step], rooms: Mapping[str, int]) -> list[Step]:
        """Have steps that sleep run; returns the jobs handed over to who has room."""
        taken: list[Step] = []
        ranks: dict[tuple[str, bool], int] = {}
        for step in sorted((s for s in steps if s.state == "suspended"), key=in_turn):
            job = step.job
            assert job is not None
            place = (step.new.queue, job.due)
            ranks[place] = rank = ranks.get(place, 0) + 1
            job.state = "available" if job.due else "scheduled"
            if job.due and rank <= rooms.get(step.new.queue, 0) and job.attempt < job.max_attempts:
                taken.append(step)
        return taken

    def announce(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            workflow = self.workflows[number]
            if workflow.outstanding == 0 and not workflow.announced:
                workflow.announce()
                self.announcements[number] = self.announcements.get(number, 0) + 1

    def end_job(self, step: Step, state: str, *, error: bool = False) -> None:
        """End a job that has not ended."""
        if step.job is not None and step.job.state not in TERMINAL:
            step.job.state = state
            if error:
                step.job.note()

    def close_waits(self, step: Step) -> None:
        for group in step.groups.values():
            if group.open:
                group.status, group.due, group.unmet = "cancelled", None, True

    def arm(self, steps: Iterable[Step], *, new: bool = False) -> list[Group]:
        """Begin waits; returns those for which something is there already. New ones with a key are
        looked at once more.
        """
        due: list[Group] = []
        for step in steps:
            for group in step.groups.values():
                if group.status != "dormant":
                    continue
                group.status, group.begun = "pending", True
                if group.wait.timeout == 0:
                    group.cutoff = self.sent
                if new and group.wait.key is not None:
                    group.due = self.clock
                if group.received or group.cutoff is not None or self.shown(group):
                    group.due = self.clock
                    due.append(group)
        self.tick()
        return due

    def shown(self, group: Group) -> bool:
        """Whether its mailboxes show anything of its names, whoever may have it."""
        scope, key = group.step.workflow.number, group.wait.key
        return any(
            event.name in group.wait.names
            and (
                (event.workflow == scope and event.state == "kept")
                or (key is not None and event.key == key and event.state in ("kept", "open"))
            )
            for event in self.events
        )

    def newest(self) -> int:
        return max((group.order for group in self.groups), default=0)

    def _fitting(self, group: Group) -> Iterator[Event]:
        """What lies in its mailboxes for what it waits for still, in the order sent."""
        scope = group.step.workflow.number
        for event in self.events:
            own = event.workflow == scope and event.state == "kept"
            by_key = event.key is not None and event.key == group.wait.key
            by_key = by_key and event.is_for(group)
            if own or (by_key and event.state in ("kept", "open")):
                late = group.cutoff is not None and event.number > group.cutoff
                if event.name in group.waiting and not late:
                    yield event

    def give(self, group: Group, event: Event) -> None:
        group.received[event.name] = event
        event.receivers += 1
        if event.key is not None and event.newest is None:
            event.newest = self.newest()
        if event.state == "kept":
            event.state = "taken"
            event.taken_by = group.id

    def decide(self, due: Iterable[Group]) -> None:
        """The one decider: mailbox, then need, then time; gates below follow."""
        wave = list(due)
        while wave:
            gates: list[Group] = []
            for group in sorted(wave, key=lambda one: one.order):
                if group.status == "pending" and self._decided(group):
                    self.waits_told += 1
                    if group.key == "":
                        gates.append(group)
                    else:
                        self.wake(group.step)
            wave = self._settle_gates(gates)

    def _decided(self, group: Group) -> bool:
        for event in list(self._fitting(group)):
            if group.left > 0 and event.name in group.waiting:
                self.give(group, event)
        if group.left <= 0:
            group.status = "completed"
        elif group.cutoff is None:
            group.due = None
            return False
        elif group.key == "" and group.wait.on_timeout != "result":
            return False
        else:
            group.status = "timeout"
        group.due = None
        return True

    def _settle_gates(self, gates: Sequence[Group]) -> list[Group]:
        entries: list[Entry] = []
        for group in gates:
            if group.step.state not in (None, "executing", *TERMINAL):
                self.end_job(group.step, "completed")
                entries.append(Entry(group.step, "completed", {"value": group.outcome()}))
        return self._settled(entries)[1]

    def wake(self, step: Step) -> None:
        """The wait inside a step is over."""
        job = step.job
        if step.settled is None and step.pending == 0 and job and job.state == "suspended":
            job.state = "available"


def is_armed(step: Step) -> bool:
    """Whether a gate waits for events only."""
    is_gate = step.gate is not None and step.settled is None
    left = step.doomed or step.unneeded or step.undecided
    return is_gate and step.pending == 1 and not left


def _follows(entry: Entry, below: Step) -> str | None:
    """How a step settles because of what it depends on; None: not yet."""
    if entry.step in below.any_of:
        stands = below.alternatives()
    else:
        stands = standing(GONE if entry.gone else entry.state, below.new.ignored)
    if stands == DOOMS:
        return "cancelled"
    return "skipped" if stands == SKIPPED and below.unneeded else None


def in_turn(step: Step) -> tuple[int, int, int]:
    """The order in which jobs of one queue are taken."""
    assert step.job is not None
    return step.new.priority, step.job.stamp, step.id
