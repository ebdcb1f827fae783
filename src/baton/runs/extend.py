"""Adds steps to a workflow that goes on, from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from baton.core.names import validate_step_name
from baton.runs.actions import Told, lock_for
from baton.settling.grow import add_steps
from baton.settling.settle_failures import settle_nodes
from baton.steps.rules import step_names
from baton.store.growing import Growing
from baton.store.store import Store
from baton.words.actions import NewAction
from baton.words.argument_errors import InvalidOptionError
from baton.words.effects import Effects
from baton.words.rows import Growth, Job, NewStep
from baton.words.workflow_errors import UnknownWorkflowError, WorkflowFinishedError


def asked_growth(steps: tuple[NewStep, ...], before: Mapping[str, Iterable[str]] | None) -> Growth:
    """New steps and those that wait for them too, checked. Raises InvalidOptionError,
    InvalidNameError.
    """
    if before is None:
        return Growth(steps)
    given: Any = before
    expected = "steps of the workflow by new step, such as before={'new': ['join']}"
    if not isinstance(given, Mapping):
        raise InvalidOptionError("before", given, expected)
    new = {step.name for step in steps}
    targets: dict[str, tuple[str, ...]] = {}
    for name, wanted in before.items():
        if validate_step_name(name) not in new:
            expected = f"only steps that are added, as {name!r} is not"
            raise InvalidOptionError("before", before, expected)
        targets[name] = step_names(None, "before", wanted)
    return Growth(steps, {name: wanted for name, wanted in targets.items() if wanted})


async def extend_workflow(
    database: Store, workflow_id: UUID, growth: Growth, told: Told, *, notify: bool
) -> tuple[list[Job], Effects]:
    """Write new steps in one transaction. Raises UnknownWorkflowError, WorkflowFinishedError,
    GraphError, before anything is written.
    """

    async def body(notify: bool) -> tuple[list[Job], Effects]:
        async with database.committing() as connection:
            growing = Growing(connection, database.sql, notify=notify)
            course = await lock_for(growing, workflow_id, told)
            if course is None:
                raise UnknownWorkflowError(workflow_id)
            if course.outstanding == 0:
                raise WorkflowFinishedError(workflow_id, "insert what is to follow by itself")
            added = await add_steps(growing, workflow_id, growth, None)
            effects = await settle_nodes(growing, [], added.above)
            action = NewAction(
                workflow_id,
                "extend",
                told.by,
                told.reason,
                course.run,
                details={"before": {name: list(names) for name, names in growth.before.items()}},
                result={"steps": len(added.jobs)},
            )
            await growing.record_action(action)
            done = Effects(actions=[action])
            return added.jobs, effects.plus(added.effects(None)).plus(done)

    return await database.notifying(body, notify, idempotent=True)
