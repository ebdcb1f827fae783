"""The rule of those who begin steps of a workflow anew."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from baton.errors import (
    FailedDependencyError,
    InvalidOptionError,
    NothingToRetryError,
    StepRunningError,
    UnknownWorkflowError,
)
from baton.runs.actions import told
from baton.runs.retry import asked, retry_workflow
from model.bench import Bench, pick_of
from model.calls import Crash, Lost
from model.drawing import crashes, picks
from model.resetting import STEPS, Done, Retry
from model.state import FAILED, Workflow

REFUSED: dict[type[Exception], str] = {
    UnknownWorkflowError: "unknown",
    NothingToRetryError: "nothing",
    FailedDependencyError: "doomed",
    InvalidOptionError: "args",
    StepRunningError: "running",
}
MODES = ("failed", "failed", "failed_and_downstream", "all", STEPS, STEPS)


class Retrying(Bench):
    @precondition(lambda self: self._repairable() or (self.ids and self.moves % 4 == 0))
    @rule(
        pick=picks,
        mode=st.sampled_from(MODES),
        replaces=st.booleans(),
        keep_memos=st.booleans(),
        interrupt=st.booleans(),
        crash=crashes,
    )
    def retry_workflow(
        self,
        pick: int,
        mode: str,
        replaces: bool,
        keep_memos: bool,
        interrupt: bool,
        crash: Crash | None,
    ) -> None:
        failed = [workflow.number for workflow in self._repairable()]
        number = pick_of(failed if failed and pick % 4 else list(self.ids), pick)
        retry = self._drawn(number, pick, mode, replaces, keep_memos, interrupt)
        self._begin_anew(number, retry, crash)

    def _begin_anew(self, number: int, retry: Retry, crash: Crash | None) -> None:
        open_before = self._is_open(number)
        wanted, found = self._call(
            "retry_workflow",
            self.model.retry_workflow(number, retry),
            lambda: self._retry(UUID(int=number), retry),
            crash,
        )
        if isinstance(wanted, Lost):
            return
        assert wanted == found
        marks = self.coverage.marks
        if isinstance(wanted, Done):
            marks["retry: in the same run" if open_before else "retry: in the next run"] += 1
            marks["retry: interrupted"] += bool(wanted.interrupted)
        else:
            marks[f"retry: {wanted}"] += 1

    async def _retry(self, workflow_id: UUID, retry: Retry) -> Done | str:
        named = retry.mode == STEPS
        given = asked(
            "failed" if named else retry.mode,
            retry.names if named else None,
            {name: {"given": retry.given} for name in retry.args},
            keep_memos=retry.keep_memos,
            interrupt=retry.interrupt,
        )
        try:
            done, effects = await retry_workflow(
                self.world.database, workflow_id, given, told("somebody", "why not"), notify=True
            )
            self._tell(effects)
        except tuple(REFUSED) as error:
            return REFUSED[type(error)]
        interrupted = frozenset(job_id for job_id, _ in effects.interrupted)
        return Done(done.run, done.steps, interrupted)

    def _drawn(
        self,
        number: int,
        pick: int,
        mode: str,
        replaces: bool,
        keep_memos: bool,
        interrupt: bool,
    ) -> Retry:
        workflow = self.model.workflows.get(number)
        steps = [] if workflow is None else workflow.steps
        names = tuple(step.new.name for step in steps)
        works = tuple(step.new.name for step in steps if step.new.wait is None)
        chosen = (pick_of(names or ("s0",), pick), pick_of(names or ("s0",), pick // 3))
        self.values += 1
        return Retry(
            mode,
            chosen if mode == STEPS else (),
            (pick_of(works, pick),) if replaces and works else (),
            self.values,
            keep_memos,
            interrupt,
        )

    def _repairable(self) -> list[Workflow]:
        return [
            workflow
            for workflow in self.model.workflows.values()
            if any(step.settled in FAILED for step in workflow.steps)
        ]

    def _is_open(self, number: int) -> bool:
        workflow = self.model.workflows.get(number)
        return workflow is not None and workflow.outstanding > 0
