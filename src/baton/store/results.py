"""Typed reads of what steps left behind. Results are JSON text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from baton.core.gate import Dependency, DependencyRules
from baton.store.store import Store
from baton.words.database_errors import UnavailableError
from baton.words.states import JobState, StepState, state_of


class UnreadError(UnavailableError):
    """What a step needs could not be read. That says nothing about the step."""


class StoredResult(NamedTuple):
    declared: bool
    state: StepState | None
    result: str | None


class DependencyResult(NamedTuple):
    """The stored result of a dependency, and the model chosen for it."""

    name: str
    model: str | None
    result: str


class DependencyRow(NamedTuple):
    """One dependency as the gate sees it, with the rules of the step that gates. `unmet` is why the
    condition of that step is not met, once all its dependencies have settled; `undecided`: it has
    one, which has not been decided as met.
    """

    name: str
    settled: StepState | None
    job_state: JobState | None
    rules: DependencyRules
    alternative: bool = False
    unmet: str | None = None
    undecided: bool = False

    @property
    def dependency(self) -> Dependency:
        """Without the rules."""
        return Dependency(self.name, self.settled, self.job_state, self.alternative)


def job_state(text: str | None) -> JobState | None:
    """A job's state as the database tells it."""
    return None if text is None else state_of(text)


def step_state(text: str | None) -> StepState | None:
    """How a step settled, as the database tells it."""
    return None if text is None else StepState(text)


async def read_for_step(database: Store, query: str, *args: object) -> list[asyncpg.Record]:
    """What a step needs, by a query that may be repeated. Raises UnreadError."""
    try:
        return await database.read(query, *args)
    except UnavailableError as error:
        raise UnreadError(error.what, error.timeout, refused=error.refused) from error


async def read_dependencies(database: Store, job_id: int) -> list[DependencyRow]:
    return parse_dependencies(await read_for_step(database, "read_dependencies", job_id))


async def read_paused(database: Store, job_id: int) -> bool:
    """Whether the job's workflow is paused."""
    rows = await read_for_step(database, "read_paused", job_id)
    return bool(rows and rows[0]["paused"])


def parse_rules(row: asyncpg.Record) -> DependencyRules:
    """A step's rules, from its node's columns."""
    return DependencyRules(
        row["ignore_cancelled"], row["ignore_discarded"], row["run_when_skipped"]
    )


def parse_dependencies(rows: Sequence[asyncpg.Record]) -> list[DependencyRow]:
    """The rows of `read_dependencies`, typed."""
    return [
        DependencyRow(
            row["name"],
            step_state(row["settled"]),
            job_state(row["job_state"]),
            parse_rules(row),
            row["alternative"],
            row["unmet"],
            row["undecided"],
        )
        for row in rows
    ]


async def read_result(database: Store, job_id: int, name: str) -> StoredResult | None:
    """The named step of the job's workflow; None when there is no step of that name."""
    rows = await read_for_step(database, "read_result", job_id, name)
    if not rows:
        return None
    row = rows[0]
    return StoredResult(row["declared"], step_state(row["state"]), row["result"])


async def read_results(database: Store, job_id: int) -> list[DependencyResult]:
    """The dependencies that have a result, in declared order."""
    rows = await read_for_step(database, "read_results", job_id)
    return [DependencyResult(row["name"], row["model"], row["result"]) for row in rows]


async def read_step_result(
    database: Store, workflow_id: UUID, name: str
) -> tuple[StepState | None, str | None] | None:
    """Settled state and result of a step, by name; None when there is no such step."""
    rows = await read_for_step(database, "read_step_result", workflow_id, name)
    return (step_state(rows[0]["state"]), rows[0]["result"]) if rows else None


class StoredOutput(NamedTuple):
    """The declared output step of a workflow, None without one; its result is JSON text."""

    step: str | None
    state: StepState | None
    result: str | None


async def read_output(database: Store, workflow_id: UUID) -> StoredOutput | None:
    """None when there is no such workflow."""
    rows = await read_for_step(database, "read_output", workflow_id)
    if not rows:
        return None
    row = rows[0]
    return StoredOutput(row["output_step"], step_state(row["state"]), row["result"])


async def read_input(database: Store, job_id: int) -> str | None:
    """The input of the job's workflow as JSON text; None when it was given none."""
    rows = await read_for_step(database, "read_input", job_id)
    return rows[0]["input"] if rows else None


async def read_own_result(database: Store, job_id: int) -> str | None:
    """The job's own stored result; None when nothing is stored (a stored null is the
    text "null").
    """
    rows = await read_for_step(database, "read_own_result", job_id)
    return rows[0]["result"] if rows else None


async def read_dependency_names(database: Store, job_id: int) -> tuple[str, ...]:
    rows = await read_for_step(database, "read_dependency_names", job_id)
    return tuple(row["name"] for row in rows)
