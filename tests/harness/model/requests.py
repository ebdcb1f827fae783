"""Rules of those who use the library: insert, cancel, tell, send. Time passes only here."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from baton import send_event
from baton.building.insert import insert_all
from baton.completion import check
from baton.errors import (
    BatonError,
    CycleError,
    DuplicateStepError,
    EmptyWorkflowError,
    SelfDependencyError,
    UnknownDependencyError,
    UnknownWorkflowError,
    WorkflowExistsError,
    WorkflowFinishedError,
)
from baton.store import jobs as store_jobs
from baton.waits.control import cancel_wait
from model.bench import Bench, pick_of
from model.calls import Crash, Lost
from model.drawing import built, crashes, graphs, keys, names, picks
from model.needs import shown
from model.state import TERMINAL, Group, NewStep, Step as ModelStep


class Requesting(Bench):
    # Insertion

    def _free_number(self, pick: int) -> int:
        pruned = [number for number in self.ids if number not in self.model.workflows]
        return pick_of(pruned, pick) if pruned and pick % 2 else len(self.ids) + 1

    @precondition(lambda self: len(self.model.workflows) < 4)
    @rule(new=graphs(), pick=picks, crash=crashes, deadline=st.booleans())
    def insert_workflow(
        self, new: list[NewStep], pick: int, crash: Crash | None, deadline: bool = False
    ) -> None:
        self.rule = "insert_workflow"
        number = self._free_number(pick)
        self.ids[number] = str(UUID(int=number))
        workflow = built(number, new, deadline=deadline)
        self.world.database.tries_again = True
        found = self.world.call(lambda: insert_all([workflow], engine=self.world), crash)
        self.world.database.tries_again = False
        assert not isinstance(found, Lost)
        if crash is not None and crash.at == 1:
            self.coverage.crashes[self.rule, "after" if crash.after else "before"] += 1
        self.model.insert(number, new, [job.id for job in found], deadline=deadline)
        states = [step.state for step in self.model.workflows[number].steps]
        assert [job.state for job in found] == states

    @precondition(lambda self: self._now_and_then())
    @rule(new=graphs(), how=st.integers(0, 5), pick=picks)
    def insert_invalid(self, new: list[NewStep], how: int, pick: int) -> None:
        self.rule = "insert_invalid"
        number, (first, *rest) = len(self.ids) + 1, new
        wanted: type[BatonError]
        match how:
            case 0:
                new, wanted = [], EmptyWorkflowError
            case 1:
                new, wanted = [*new, NewStep("last", ("nobody",))], UnknownDependencyError
            case 2:
                new, wanted = [*new, NewStep("last", ("last",))], SelfDependencyError
            case 3:
                new, wanted = [*new, NewStep("a", ("b",)), NewStep("b", ("a",))], CycleError
            case 4:
                new, wanted = [*new, first], DuplicateStepError
            case _:
                if not self.model.workflows:
                    return
                number, wanted = pick_of(list(self.model.workflows), pick), WorkflowExistsError
        valid = built(len(self.ids) + 1, [first, *rest])

        async def work() -> None:
            await insert_all([valid, built(number, new)], engine=self.world)

        with pytest.raises(wanted):
            self.world.call(work)

    # By request

    @precondition(lambda self: self._steps() and self.moves % 2 == 0)
    @rule(pick=picks, crash=crashes)
    def cancel_wait(self, pick: int, crash: Crash | None) -> None:
        waiting = [step for step in self._steps() if step.waits] or self._steps()
        step = pick_of(waiting, pick)
        wanted, found = self._call(
            "cancel_wait",
            self.model.cancel_wait(step),
            lambda: cancel_wait(
                UUID(int=step.workflow.number), step.new.name, "no", engine=self.world
            ),
            crash,
        )
        assert wanted == found

    @precondition(lambda self: self._in_state("executing"))
    @rule(pick=picks, state=st.sampled_from(sorted(TERMINAL)))
    def check(self, pick: int, state: str) -> None:
        """Another host tells how a job ended, then writes it."""
        step = pick_of(self._in_state("executing"), pick)
        self.values += 1
        value = self.values
        self._call(
            "check",
            self.model.check(step, state, value),
            lambda: check(step.id, state, result=shown(value), engine=self.world),
        )
        self._end_by_hand("check", step, state)

    # Events and time

    @precondition(lambda self: self.ids)
    @rule(pick=picks, name=names, dedupe_id=st.none() | st.sampled_from("de"), crash=crashes)
    def send_event(self, pick: int, name: str, dedupe_id: str | None, crash: Crash | None) -> None:
        number = pick_of(list(self.ids), pick)
        payload = self.model.sent + 1

        async def work() -> str:
            try:
                return await send_event(
                    UUID(int=number), name, payload, dedupe_id=dedupe_id, engine=self.world
                )
            except UnknownWorkflowError:
                return "unknown"
            except WorkflowFinishedError:
                return "finished"

        wanted, found = self._call(
            "send_event", self.model.send(number, name, dedupe_id), work, crash
        )
        assert wanted == found
        self._mark_sent(wanted)

    @precondition(lambda self: self.ids and self.moves % 2 == 0)
    @rule(key=keys, name=names, dedupe_id=st.none() | st.sampled_from("de"), crash=crashes)
    def send_key(self, key: str, name: str, dedupe_id: str | None, crash: Crash | None) -> None:
        payload = self.model.sent + 1
        wanted, found = self._call(
            "send_key",
            self.model.send_by_key(key, name, dedupe_id),
            lambda: send_event(
                None, name, payload, dedupe_id=dedupe_id, correlation_key=key, engine=self.world
            ),
            crash,
        )
        assert wanted == found
        self._mark_sent(wanted)

    def _mark_sent(self, wanted: str | Lost) -> None:
        if not isinstance(wanted, Lost):
            self.coverage.marks[f"event: {wanted}"] += 1

    @precondition(lambda self: self._open_events())
    @rule(pick=picks)
    def event_overdue(self, pick: int) -> None:
        """Nobody has handed an event out in time."""
        event = pick_of(self._open_events(), pick)
        event.overdue = self.model.tick()
        self._by_hand(
            "event_overdue",
            "UPDATE baton.workflow_events SET wake_at = clock_timestamp()"
            " WHERE payload = to_jsonb($1::integer)",
            event.number,
        )

    @precondition(lambda self: self._with_deadline())
    @rule(pick=picks)
    def deadline(self, pick: int) -> None:
        group = pick_of(self._with_deadline(), pick)
        group.cutoff, group.due = self.model.sent, self.model.tick()
        self._by_hand(
            "deadline",
            "UPDATE baton.workflow_wait_groups SET deadline = c.now, wake_at = c.now"
            " FROM (SELECT clock_timestamp() AS now) c WHERE job_id = $1 AND replay_key = $2",
            group.step.id,
            group.key,
        )

    def _with_deadline(self) -> list[Group]:
        return [
            group
            for group in self.model.groups
            if group.status == "pending" and group.wait.timeout and group.cutoff is None
        ]

    @precondition(lambda self: self._not_due())
    @rule(pick=picks)
    def job_due(self, pick: int) -> None:
        """The time a job was scheduled for comes."""
        step = pick_of(self._not_due(), pick)
        assert step.job is not None
        step.job.due, step.job.stamp = True, self.model.tick()
        self._by_hand(
            "job_due",
            "UPDATE baton.oban_jobs SET scheduled_at = timezone('UTC', clock_timestamp())"
            " WHERE id = $1",
            step.id,
        )

    def _not_due(self) -> list[ModelStep]:
        return [step for step in self._steps() if step.job is not None and not step.job.due]

    @precondition(lambda self: self._stageable())
    @rule()
    def stage(self) -> None:
        self.rule = "stage"
        self.model.stage()
        self.world.run(store_jobs.stage_jobs(self.world.database, 100, notify=True))
