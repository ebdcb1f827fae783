"""How steps settle and waits are decided, in plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from model.state import TERMINAL, Entry, Event, Group, Job, NewStep, Step, Workflow


@dataclass
class Graph:
    """Workflows and the mailbox; how steps settle and waits are decided."""

    workflows: dict[int, Workflow] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    sent: int = 0
    clock: int = 0
    waits_told: int = 0
    announcements: dict[int, int] = field(default_factory=dict)

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
            if one.deps or one.wait:
                state = "suspended"
            job = Job(state, one.max_attempts, stamp, due=not one.later)
            named[one.name] = Step(job_id, workflow, one, job, born=stamp)
        workflow.steps = list(named.values())
        for step in workflow.steps:
            step.deps = [named[name] for name in step.new.deps]
            for dep in step.deps:
                dep.dependents.append(step)
        roots = []
        for step in workflow.steps:
            if step.new.wait is not None:
                step.groups[""] = Group(self.tick(), step, "", step.new.wait)
                if not step.deps:
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
        wave = [entry for entry in entries if entry.step.settled is None]
        touched: dict[int, Step] = {}
        ended: list[Step] = []
        for entry in wave:
            entry.step.settled, entry.step.result = entry.state, entry.result
        while wave:
            following: list[Entry] = []
            for entry in wave:
                ended.append(entry.step)
                for below in entry.step.dependents:
                    if below.settled is not None:
                        continue
                    touched[below.id] = below
                    state = _follows(entry, below)
                    if below.busy or state is None:
                        continue
                    below.settled = state
                    self.end_job(below, "cancelled", error=True)
                    following.append(Entry(below, state))
            wave = following
        for step in ended:
            self.close_waits(step)
        waiting = [touched[i] for i in sorted(touched) if touched[i].settled is None]
        taken = self.release([step for step in waiting if step.pending == 0], rooms or {})
        armed = self.arm(filter(is_armed, waiting), new=new)
        self.announce({step.workflow.number for step in ended})
        return taken, armed

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
    return is_gate and step.pending == 1 and not (step.doomed or step.unneeded)


def _follows(entry: Entry, below: Step) -> str | None:
    """How a step settles because of what it depends on; None: not yet."""
    if entry.gone or below.dooms(entry.state):
        return "cancelled"
    return "skipped" if entry.state == "skipped" and below.unneeded else None


def in_turn(step: Step) -> tuple[int, int, int]:
    """The order in which jobs of one queue are taken."""
    assert step.job is not None
    return step.new.priority, step.job.stamp, step.id
