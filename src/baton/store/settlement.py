"""Typed calls on a workflow under its lock: the slow path of settling. Decides nothing.

Every function takes the connection of an open transaction; `lock_*` comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from baton.core.cascade import Alternatives
from baton.core.gate import DependencyRules
from baton.store.actions import record_action
from baton.store.borrowed import Fetches
from baton.store.results import DependencyRow, parse_dependencies, parse_rules, step_state
from baton.store.sql import Sql
from baton.store.waits import Candidate, EndedGroup, FoundGroup, decided
from baton.words.actions import NewAction
from baton.words.effects import Effects
from baton.words.rows import Announced, Claim, Outcome
from baton.words.states import JobState, StepState, state_of

_CLAIMS_PER_NOTICE = 200


class Ended(NamedTuple):
    """How a step ended. `result` is JSON text. `gone`: its job's row has vanished."""

    job_id: int
    state: StepState
    result: str | None = None
    trace: str | None = None
    gone: bool = False


class Course(NamedTuple):
    """Where a workflow stands: its run, how many steps it has, and how many have not settled."""

    run: int
    steps: int
    outstanding: int
    paused: bool


class FoundStep(NamedTuple):
    """A step found by its name. `settled` is None while it has not."""

    job_id: int
    settled: StepState | None


class SettledNode(NamedTuple):
    job_id: int
    workflow_id: UUID
    name: str
    state: StepState
    dependents: tuple[int, ...]
    waits: bool = False
    any_dependents: tuple[int, ...] = ()


class DownstreamNode(NamedTuple):
    """An unsettled step below; see `GraphNode`. `opens`: a condition, or a wait, is left to it when
    its dependencies have settled.
    """

    job_id: int
    workflow_id: UUID
    name: str
    pending: int
    rules: DependencyRules
    dependents: tuple[int, ...]
    unskipped: int
    opens: bool
    any_dependents: tuple[int, ...]
    alternatives: Alternatives | None


class HeldJob(NamedTuple):
    """A job that went back to sleep, or is available in the queue `woken`. `opens`: nothing is left
    but to decide its condition.
    """

    id: int
    woken: str | None
    opens: bool


class Counts(NamedTuple):
    """What is counted off a workflow: steps that settled, and how many of them failed or were
    skipped.
    """

    settled: int
    failed: int
    skipped: int


class CancelledJob(NamedTuple):
    id: int
    worker: str
    queue: str
    args: str
    meta: str
    attempt: int
    max_attempts: int
    model: str | None
    debug: bool


class Settlement:
    """One transaction that changes workflows. `connection` is inside the transaction."""

    _unseen = False
    """Whether waits may begin that this transaction has written or undone: before it commits,
    whoever sends an event by their correlation key does not see that they wait.
    """

    def __init__(self, connection: Fetches, sql: Sql, *, notify: bool) -> None:
        self._connection = connection
        self._sql = sql
        self._notify = notify

    async def _fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        return await self._connection.fetch(self._sql(query), *args)

    async def lock_workflows_of_jobs(self, job_ids: Sequence[int]) -> list[UUID]:
        rows = await self._fetch("lock_workflows_of_jobs", job_ids)
        return [row["id"] for row in rows]

    async def lock_workflow(self, workflow_id: UUID) -> bool:
        """False when there is no such workflow."""
        return bool(await self.lock_workflows([workflow_id]))

    async def take_deadline(self, workflow_id: UUID) -> datetime | None:
        """Take away a deadline that has passed; None where there is none."""
        rows = await self._fetch("take_deadline", workflow_id)
        return rows[0]["deadline"] if rows else None

    async def lock_course(self, workflow_id: UUID) -> Course | None:
        """Lock a workflow; where it stands. None when there is no such workflow."""
        rows = await self._fetch("lock_course", workflow_id)
        return Course(*rows[0]) if rows else None

    async def read_standing(self, workflow_id: UUID, bulk_id: UUID) -> tuple[bool, str]:
        """Whether a bulk operation has acted on a workflow that is locked, and the state that lists
        show of it.
        """
        (row,) = await self._fetch("read_standing", workflow_id, bulk_id)
        return row["acted"], row["state"]

    async def record_action(self, action: NewAction) -> None:
        await record_action(self._connection, self._sql, action)

    async def lock_workflows(self, workflow_ids: Sequence[UUID]) -> list[UUID]:
        """Returns those that exist."""
        rows = await self._fetch("lock_workflows", workflow_ids)
        return [row["id"] for row in rows]

    async def lock_free_workflows(self, workflow_ids: Sequence[UUID]) -> list[UUID]:
        """Lock only those that nobody else has locked; returns them."""
        rows = await self._fetch("lock_free_workflows", workflow_ids)
        return [row["id"] for row in rows]

    async def try_wait(self, group_id: int) -> bool:
        """Lock the workflow, step and job of a wait. False when somebody else has one locked; for
        locks further down the transaction waits only a moment then.
        """
        (row,) = await self._fetch("try_wait", group_id)
        return bool(row["free"])

    async def finish_jobs(self, outcomes: Sequence[Outcome]) -> set[int]:
        """Write cancelled and discarded jobs, fenced; returns the ids whose claim still held."""
        rows = await self._fetch(
            "finish_jobs",
            [o.job_id for o in outcomes],
            [o.attempted_at for o in outcomes],
            [o.state.value for o in outcomes],
            [o.error for o in outcomes],
            [o.attempt_change for o in outcomes],
        )
        return {row["id"] for row in rows}

    async def explain_discards(self, job_ids: Sequence[int], error: str) -> None:
        """Note an error in those that were discarded without one."""
        await self._fetch("explain_discards", job_ids, error)

    async def read_dependencies(self, job_id: int) -> list[DependencyRow]:
        return parse_dependencies(await self._fetch("read_dependencies", job_id))

    async def hold_jobs(self, outcomes: Sequence[Outcome]) -> list[HeldJob]:
        """Returns those whose claim held."""
        rows = await self._fetch(
            "hold_jobs", [o.job_id for o in outcomes], [o.attempted_at for o in outcomes]
        )
        return [HeldJob(*row) for row in rows]

    async def settle_nodes(self, ended: Sequence[Ended]) -> list[SettledNode]:
        """Record how steps ended; returns the nodes that had not settled before."""
        rows = await self._fetch(
            "settle_nodes",
            [step.job_id for step in ended],
            [step.state.value for step in ended],
            [step.result for step in ended],
            [step.trace for step in ended],
            [step.gone for step in ended],
        )
        return [
            SettledNode(
                row["job_id"],
                row["workflow_id"],
                row["name"],
                StepState(row["state"]),
                tuple(row["dependents"]),
                row["waits"],
                tuple(row["any_dependents"] or ()),
            )
            for row in rows
        ]

    async def read_downstream(
        self, settled: Sequence[SettledNode], gone: Container[int]
    ) -> list[DownstreamNode]:
        """The unsettled nodes that these settled nodes can touch, near and far. `gone` are the ids
        of those whose jobs vanished.
        """

        def below(chosen: Callable[[SettledNode], bool]) -> list[int]:
            return sorted(
                {
                    dependent
                    for node in settled
                    if chosen(node)
                    for dependent in (*node.dependents, *node.any_dependents)
                }
            )

        rows = await self._fetch(
            "read_downstream",
            below(lambda node: True),
            below(lambda node: node.state is StepState.CANCELLED),
            below(lambda node: node.state is StepState.DISCARDED),
            below(lambda node: node.job_id in gone),
            below(lambda node: node.state is StepState.SKIPPED),
            [node.job_id for node in settled],
        )
        return [
            DownstreamNode(
                row["job_id"],
                row["workflow_id"],
                row["name"],
                row["pending"],
                parse_rules(row),
                tuple(row["dependents"]),
                row["unskipped"],
                row["opens"],
                tuple(row["any_dependents"] or ()),
                None
                if row["alternatives"] is None
                else Alternatives(row["alternatives"], row["alternative_skipped"]),
            )
            for row in rows
        ]

    async def lock_jobs(self, job_ids: Sequence[int]) -> dict[int, JobState]:
        """Lock job rows in id order; a job whose row is gone is missing from the reply."""
        rows = await self._fetch("lock_jobs", job_ids)
        return {row["id"]: state_of(row["state"]) for row in rows}

    async def cancel_jobs(self, reasons: Mapping[int, str]) -> list[CancelledJob]:
        rows = await self._fetch("cancel_jobs", list(reasons), list(reasons.values()))
        return [CancelledJob(*row) for row in rows]

    async def decrement_pending(
        self, decrements: Mapping[int, int], alternatives: Mapping[int, StepState]
    ) -> None:
        """Take settled dependencies off, and note how alternatives ended."""
        await self._fetch(
            "decrement_pending",
            list(decrements),
            list(decrements.values()),
            [alternatives.get(job_id) for job_id in decrements],
        )

    async def release_jobs(self, job_ids: Sequence[int]) -> list[str]:
        """Returns the queues that got available jobs."""
        rows = await self._fetch("release_jobs", job_ids, self._notify)
        return [row["queue"] for row in rows]

    async def open_steps(self, job_ids: Sequence[int]) -> Effects:
        """Decide conditions, and begin the waits of wait steps, whose dependencies have settled."""
        return decided(await self._fetch("open_steps", job_ids, self._notify, self._unseen))

    async def decide_waits(self, group_ids: Sequence[int], events: Sequence[int]) -> Effects:
        """Decide groups; those with a schema by these events only, which satisfy it."""
        return decided(await self._fetch("decide_waits", group_ids, events, self._notify))

    async def close_waits(self, job_ids: Sequence[int], reason: str) -> None:
        await self._fetch("close_waits", job_ids, reason)

    async def read_candidates(self, group_id: int) -> list[Candidate]:
        rows = await self._fetch("read_candidates", group_id)
        return [Candidate(*row) for row in rows]

    async def find_group(self, workflow_id: UUID, step: str) -> FoundGroup | None:
        """None when there is no such step."""
        rows = await self._fetch("find_group", workflow_id, step)
        return FoundGroup(*rows[0]) if rows else None

    async def end_group(self, group_id: int, status: str, reason: str) -> EndedGroup | None:
        """None when the group has ended already, or its time is not over."""
        rows = await self._fetch("end_group", group_id, status, reason)
        return EndedGroup(*rows[0]) if rows else None

    async def fail_job(self, job_id: int, state: JobState, reason: str) -> list[CancelledJob]:
        rows = await self._fetch("fail_job", job_id, state.value, reason)
        return [CancelledJob(*row) for row in rows]

    async def wake_job(self, job_id: int) -> str | None:
        """The queue that got an available job."""
        rows = await self._fetch("wake_job", job_id, self._notify)
        return rows[0]["queue"]  # type: ignore[no-any-return]

    async def count_settled(self, counts: Mapping[UUID, Counts]) -> list[UUID]:
        """Take settled steps off each workflow; returns the workflows that ended."""
        rows = await self._fetch(
            "count_settled",
            list(counts),
            *map(list, zip(*counts.values(), strict=True)),
        )
        return [row["id"] for row in rows if row["outstanding"] == 0]

    async def finish_workflows(self, workflow_ids: Sequence[UUID]) -> None:
        """Note the end of those that have no outstanding step, where settling has not."""
        await self._fetch("finish_workflows", workflow_ids)

    async def announce(self, workflow_ids: Sequence[UUID]) -> list[Announced]:
        """Record the completions not yet recorded; returns those recorded by this call, as JSON
        text.
        """
        rows = await self._fetch("announce_workflows", workflow_ids, self._notify)
        return [Announced(row["workflow_id"], row["completion"]) for row in rows]

    async def read_unsettled(self, workflow_id: UUID) -> dict[int, str]:
        """Job id and name of each step of a workflow that has not settled."""
        rows = await self._fetch("read_unsettled", workflow_id)
        return {row["job_id"]: row["name"] for row in rows}

    async def find_step(self, workflow_id: UUID, name: str) -> FoundStep | None:
        """None when there is no such step."""
        rows = await self._fetch("find_step", workflow_id, name)
        return FoundStep(rows[0]["job_id"], step_state(rows[0]["settled"])) if rows else None

    async def pause_jobs(self, workflow_id: UUID) -> int:
        """Put the jobs to sleep that could be claimed; returns how many."""
        (row,) = await self._fetch("pause_jobs", workflow_id)
        suspended: int = row["suspended"]
        return suspended

    async def pause_workflow(self, workflow_id: UUID, reason: str | None) -> None:
        await self._fetch("pause_workflow", workflow_id, reason)

    async def resume_workflow(self, workflow_id: UUID) -> tuple[list[int], list[int]]:
        """Returns the steps that wait for nothing any more, and those to be opened."""
        (row,) = await self._fetch("resume_workflow", workflow_id)
        return row["ready"], row["opened"]

    async def interrupt_jobs(self, job_ids: Sequence[int]) -> frozenset[Claim]:
        """Hint running engines to interrupt the attempts of these jobs, which are locked and
        executing, in payloads below NOTIFY's limit; returns their claims.
        """
        claims: set[Claim] = set()
        for start in range(0, len(job_ids), _CLAIMS_PER_NOTICE):
            part = job_ids[start : start + _CLAIMS_PER_NOTICE]
            rows = await self._fetch("interrupt_jobs", part, self._notify)
            claims.update((row["id"], row["attempted_at"]) for row in rows)
        return frozenset(claims)
