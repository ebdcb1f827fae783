"""Rules of those who cancel, complete, pause and fork workflows, and of their deadlines."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from baton.errors import (
    FailedDependencyError,
    ForkUnsettledError,
    InvalidOptionError,
    StepSettledError,
    UnknownWorkflowError,
    WorkflowFinishedError,
)
from baton.runs.actions import told
from baton.runs.cancel import cancel_step, cancel_workflow
from baton.runs.complete import complete_step
from baton.runs.deadlines import Deadlines
from baton.runs.fork import asked_fork, fork_workflow
from baton.runs.pause import pause_workflow, resume_workflow
from baton.words.effects import Effects
from model.bench import Bench, pick_of
from model.calls import Commits, Crash, Lost
from model.drawing import crashes, picks
from model.needs import shown
from model.resetting import STEPS, Retry
from model.state import FAILED, Step as ModelStep, Workflow

WHO = told("somebody", "why not")
REFUSED: dict[type[Exception], str] = {
    UnknownWorkflowError: "unknown",
    WorkflowFinishedError: "finished",
    StepSettledError: "settled",
    ForkUnsettledError: "unsettled",
    FailedDependencyError: "doomed",
    InvalidOptionError: "args",
}


async def _refusable(work: Awaitable[object]) -> object:
    try:
        return await work
    except tuple(REFUSED) as error:
        return REFUSED[type(error)]


class Asking(Bench):
    # Cancel and complete

    @precondition(lambda self: self.ids and self.moves % 4 == 0)
    @rule(pick=picks, crash=crashes)
    def cancel_workflow(self, pick: int, crash: Crash | None) -> None:
        number = pick_of(list(self.ids), pick)
        wanted, found = self._call(
            "cancel_workflow",
            self.model.cancel_workflow(number),
            lambda: self._cancel(number),
            crash,
        )
        if not isinstance(wanted, Lost):
            assert wanted == (None if found is None else len(found.accepted))

    async def _cancel(self, number: int) -> Effects | None:
        database = self.world.database
        effects = await cancel_workflow(database, UUID(int=number), "no", notify=True)
        if effects is not None:
            self._tell(effects)
        return effects

    @precondition(lambda self: self._steps() and self.moves % 3 == 0)
    @rule(pick=picks, crash=crashes)
    def cancel_step(self, pick: int, crash: Crash | None) -> None:
        number, name = self._named([s for s in self._steps() if s.settled is None], pick)
        self._cancel_step(number, name, crash)

    def _cancel_step(self, number: int, name: str, crash: Crash | None) -> None:
        async def work() -> str | None:
            database = self.world.database
            done = await cancel_step(database, UUID(int=number), name, "no", notify=True)
            if done is None:
                return None
            self._tell(done.effects)
            return "done" if done.ended is None else "ended"

        self._ask("cancel_step", self.model.cancel_step(number, name), work, crash)

    @precondition(lambda self: self._steps() and self.moves % 2 == 0)
    @rule(pick=picks, crash=crashes)
    def complete_step(self, pick: int, crash: Crash | None) -> None:
        failed = [step for step in self._steps() if step.settled in FAILED]
        unsettled = [step for step in self._steps() if step.settled is None]
        number, name = self._named(failed if failed and pick % 3 else unsettled, pick)
        self._complete_step(number, name, crash)

    def _complete_step(self, number: int, name: str, crash: Crash | None) -> None:
        workflow = self.model.workflows.get(number)
        step = None if workflow is None else workflow.find(name)
        reopens = step is not None and step.settled in FAILED
        self.values += 1
        value = self.values

        async def work() -> str | None:
            effects = await complete_step(
                self.world.database,
                UUID(int=number),
                name,
                json.dumps({"value": shown(value)}),
                WHO,
                notify=True,
            )
            if effects is None:
                return None
            self._tell(effects)
            return "reopened" if reopens else "done"

        self._ask("complete_step", self.model.complete_step(number, name, value), work, crash)

    def _named(self, steps: list[ModelStep], pick: int) -> tuple[int, str]:
        """One of these steps, and now and then one that is none."""
        if pick == 0 or not steps:
            return pick_of(list(self.ids), pick), "s0"
        step = pick_of(steps, pick)
        return step.workflow.number, step.new.name

    # Pause

    @precondition(lambda self: self.ids and self.moves % 3 == 0)
    @rule(pick=picks, crash=crashes)
    def pause(self, pick: int, crash: Crash | None) -> None:
        self._pause(self._course([w for w in self._workflows() if w.outstanding], pick), crash)

    def _pause(self, number: int, crash: Crash | None) -> None:
        async def work() -> object:
            effects = await pause_workflow(self.world.database, UUID(int=number), WHO, notify=True)
            return effects.actions[0].result["suspended"] if effects.actions else None

        self._ask("pause", self.model.pause(number), work, crash)

    @precondition(lambda self: self._paused() or self._now_and_then())
    @rule(pick=picks, crash=crashes)
    def resume(self, pick: int, crash: Crash | None) -> None:
        self._resume(self._course(self._paused(), pick), crash)

    def _resume(self, number: int, crash: Crash | None) -> None:
        async def work() -> object:
            effects = await resume_workflow(self.world.database, UUID(int=number), WHO, notify=True)
            self._tell(effects)
            return effects.actions[0].result["released"] if effects.actions else None

        self._ask("resume", self.model.resume(number), work, crash)

    def _paused(self) -> list[Workflow]:
        return [workflow for workflow in self._workflows() if workflow.paused]

    def _workflows(self) -> list[Workflow]:
        return list(self.model.workflows.values())

    def _course(self, workflows: list[Workflow], pick: int) -> int:
        return pick_of(workflows, pick).number if workflows and pick else pick_of([*self.ids], pick)

    # Deadlines

    @precondition(lambda self: self._with_end())
    @rule(pick=picks)
    def deadline_passes(self, pick: int) -> None:
        workflow = pick_of(self._with_end(), pick)
        workflow.overdue = self.model.tick()
        self._by_hand(
            "deadline_passes",
            "UPDATE baton.workflow_deadlines SET deadline = clock_timestamp()"
            " WHERE workflow_id = $1",
            UUID(int=workflow.number),
        )

    @precondition(lambda self: self._overdue() or self._now_and_then())
    @rule(crash=crashes)
    def cancel_overdue(self, crash: Crash | None) -> None:
        world = self.world
        self._call(
            "cancel_overdue",
            self.model.cancel_overdue(),
            lambda: Deadlines().run(world.database, world.settings),
            crash,
        )

    def _with_end(self) -> list[Workflow]:
        return [w for w in self._workflows() if w.deadline and w.overdue is None]

    def _overdue(self) -> bool:
        return any(workflow.overdue is not None for workflow in self._workflows())

    # Fork

    @precondition(lambda self: self.ids and len(self.model.workflows) < 5 and self.moves % 2 == 0)
    @rule(pick=picks, names=st.booleans(), replaces=st.booleans(), crash=crashes)
    def fork(self, pick: int, names: bool, replaces: bool, crash: Crash | None) -> None:
        settled = [w for w in self._workflows() if any(s.settled for s in w.steps)]
        number = self._course(settled, pick)
        source = self.model.workflows.get(number)
        steps = [] if source is None else source.steps
        chosen = (pick_of(steps, pick // 3).new.name,) if names and steps else ()
        works = [step.new.name for step in steps if step.new.wait is None]
        args = (pick_of(works, pick),) if replaces and works else ()
        self.values += 1
        self._fork(number, Retry(STEPS if chosen else "all", chosen, args, self.values), crash)

    def _fork(self, number: int, retry: Retry, crash: Crash | None) -> None:
        fork_number, args = len(self.ids) + 1, {n: {"given": retry.given} for n in retry.args}
        asked = asked_fork(retry.names or None, args, None)
        self.ids[fork_number] = str(UUID(int=fork_number))

        async def work() -> str:
            _, effects = await fork_workflow(
                self.world.database,
                UUID(int=number),
                UUID(int=fork_number),
                asked,
                WHO,
                notify=True,
            )
            self._tell(effects)
            return "done"

        self._ask("fork", self.model.fork(number, fork_number, retry, self._inserted), work, crash)

    def _inserted(self, number: int) -> list[int]:
        """The ids that the database has given to the jobs of a workflow."""
        rows = self.world.run(
            self.world.monitor.fetch(
                "SELECT job_id FROM baton.workflow_nodes WHERE workflow_id = $1 ORDER BY job_id",
                UUID(int=number),
            )
        )
        return [row["job_id"] for row in rows]

    def _ask(
        self,
        name: str,
        model: Commits[object],
        work: Callable[[], Awaitable[object]],
        crash: Crash | None,
    ) -> None:
        """Both do the same, or refuse for the same reason."""
        wanted, found = self._call(name, model, lambda: _refusable(work()), crash)
        assert wanted == found, f"{name}: {found}, expected {wanted}"
        if not isinstance(wanted, Lost):
            told = wanted if isinstance(wanted, str) else "nothing" if wanted is None else "done"
            self.coverage.marks[f"{name}: {told}"] += 1
