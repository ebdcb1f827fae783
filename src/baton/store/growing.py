"""Typed calls that add steps to a workflow under its lock. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from baton.core.jsonvalue import decode
from baton.core.plan import Among
from baton.store.insertion import insert_among
from baton.store.results import step_state
from baton.store.settlement import Settlement
from baton.words.rows import Job, NewStep, NewWorkflow
from baton.words.states import StepState

MOST_COMPARED = 10_000


class Standing(NamedTuple):
    """Where a step stands: whether its job sleeps, and whether it waits for a dependency.
    `alternative`: the step that adds others, or one that had added it, is one of its alternatives.
    """

    job_id: int
    state: StepState | None
    sleeps: bool
    waits: bool
    alternative: bool


class Reached(NamedTuple):
    """That a step depends on a target. `grows`: it adds others, or had added who does."""

    target: int
    step: int
    grows: bool


class Edge(NamedTuple):
    """That a new step depends on one that was there."""

    job_id: int
    dependent: int
    alternative: bool


class Growing(Settlement):
    """A settlement that can also add steps."""

    _unseen = True

    async def complete_claimed(self, job_id: int, claim: datetime) -> tuple[bool, bool]:
        """Whether the claim held and the job is completed, and whether it had been before."""
        (row,) = await self._fetch("complete_claimed", job_id, claim)
        return row["done"], row["echo"]

    async def find_standing(
        self, workflow_id: UUID, names: Iterable[str], grown_by: int | None
    ) -> dict[str, Standing]:
        """Those of the named steps that are there; `grown_by` is who adds others."""
        rows = await self._fetch("find_standing", workflow_id, list(names), grown_by)
        return {
            row["name"]: Standing(
                row["job_id"],
                step_state(row["state"]),
                row["sleeps"],
                row["waits"],
                row["alternative"],
            )
            for row in rows
        }

    async def find_reachable(
        self, targets: Sequence[int], steps: Sequence[int], grown_by: int | None
    ) -> list[Reached]:
        """Each target with each of the steps that depends on it, at any distance, or is it; also
        with who adds others, and who had added that one.
        """
        rows = await self._fetch("find_reachable", targets, steps, grown_by)
        return [Reached(*row) for row in rows]

    async def read_step_names(self, workflow_id: UUID) -> list[str]:
        """The first of its steps, to be shown with one that is not there."""
        return [
            row["name"] for row in await self._fetch("read_step_names", workflow_id, MOST_COMPARED)
        ]

    async def insert_steps(
        self,
        workflow_id: UUID,
        steps: tuple[NewStep, ...],
        existing: Mapping[str, str],
        before: Mapping[str, Sequence[str]],
        grown_by: int | None,
    ) -> tuple[NewWorkflow, list[Job]]:
        """Count steps and insert them, see `Among`; returns them with what the workflow gives their
        jobs.
        """
        (row,) = await self._fetch("grow_workflow", workflow_id, len(steps))
        among = Among(existing, before, row["paused"])
        context = row["trace_context"]
        new = NewWorkflow(
            workflow_id,
            row["workflow_name"],
            steps,
            row["debug"],
            trace_context={} if context is None else decode(context),
        )
        return new, await insert_among(
            self._connection, self._sql, new, among, grown_by, notify=self._notify
        )

    async def add_dependents(self, edges: Sequence[Edge]) -> None:
        await self._fetch("add_dependents", *map(list, zip(*edges, strict=True)))

    async def add_dependencies(self, before: Mapping[int, Sequence[int]]) -> None:
        """Have steps that are held wait for new ones too: ids of held steps, by new step."""
        pairs = [(target, new) for new, targets in before.items() for target in targets]
        await self._fetch("add_dependencies", *map(list, zip(*pairs, strict=True)))
