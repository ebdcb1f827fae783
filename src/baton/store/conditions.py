"""Writes what steps of new workflows depend on beside the edges of the graph: alternatives and
conditions, in a statement of its own, which others do not pay for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from baton.core.jsonvalue import encode
from baton.store.borrowed import Fetches
from baton.store.sql import Sql
from baton.words.rows import Job, NewWorkflow

_MANY_STEPS = 5_000
_STEP_LIMIT = 64_000_000


async def insert_conditions(
    connection: Fetches,
    sql: Sql,
    workflows: Sequence[NewWorkflow],
    jobs: Sequence[Job],
    existing: Mapping[str, str],
) -> None:
    """Write alternatives and conditions of steps, whose jobs these are, in order, on a connection
    that may be a caller's. `existing` are ids of steps that their workflow has already.
    """
    chunk: list[str] = []
    for text in _steps(workflows, jobs, existing):
        chunk.append(text)
        if len(chunk) == _MANY_STEPS:
            await _write(connection, sql, chunk)
            chunk = []
    if chunk:
        await _write(connection, sql, chunk)


async def _write(connection: Fetches, sql: Sql, chunk: Sequence[str]) -> None:
    await connection.fetch(sql("insert_conditions"), f"[{','.join(chunk)}]")


def _steps(
    workflows: Sequence[NewWorkflow], jobs: Sequence[Job], existing: Mapping[str, str]
) -> Iterator[str]:
    """What is to be written of each step that has a condition, alternatives, or is one."""
    start = 0
    for workflow in workflows:
        ids = {
            step.name: job.id
            for step, job in zip(
                workflow.steps, jobs[start : start + len(workflow.steps)], strict=True
            )
        }
        start += len(ids)
        ids.update({name: int(job_id) for name, job_id in existing.items()})
        any_dependents: dict[str, list[int]] = {}
        for step in workflow.steps:
            for name in step.any_of:
                any_dependents.setdefault(name, []).append(ids[step.name])
        for step in workflow.steps:
            below = any_dependents.get(step.name)
            if below is None and not step.any_of and step.condition is None:
                continue
            fields = {
                "job_id": ids[step.name],
                "any_of": [ids[name] for name in step.any_of] or None,
                "any_dependents": below,
            }
            text = encode(fields, what="the alternatives of a step", limit=_STEP_LIMIT)
            yield text if step.condition is None else f'{text[:-1]},"condition":{step.condition}}}'
