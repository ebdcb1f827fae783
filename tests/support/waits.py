"""What the tests of waits share: looks at groups, members and events."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from baton import Baton
from support.running import Tables
from support.waiting import eventually


async def statuses(tables: Tables, workflow: Baton) -> list[str]:
    """The statuses of a workflow's groups, in the order of their steps and waits."""
    found = await tables.value(
        "SELECT array_agg(status ORDER BY job_id, id) FROM baton.workflow_wait_groups"
        " WHERE workflow_id = $1",
        workflow.workflow_id,
    )
    return list(found or ())


async def until_waits(tables: Tables, workflow: Baton, count: int = 1) -> None:
    """Wait until as many groups of a workflow are pending."""

    async def look() -> bool:
        return (await statuses(tables, workflow)).count("pending") == count

    await eventually(look)


async def until_looked_for_events(tables: Tables) -> None:
    """Wait until no engine is about to look for events by a key: a look locks the workflows, and a
    sender passes by what is locked.
    """

    async def look() -> bool:
        due = await tables.value(
            "SELECT count(*) FROM baton.workflow_wait_groups"
            " WHERE status = 'pending' AND wake_at < now() + interval '1 second'"
        )
        return bool(due == 0)

    await eventually(look)


async def members(tables: Tables, workflow: Baton) -> dict[str, str]:
    """The state of each awaited event, by name."""
    rows: Any = await tables.value(
        "SELECT jsonb_object_agg(name, state)::text FROM baton.workflow_wait_members"
        " WHERE workflow_id = $1",
        workflow.workflow_id,
    )
    parsed: dict[str, str] = json.loads(rows or "{}")
    return parsed


async def mailbox(tables: Tables, workflow_id: UUID) -> list[str]:
    """The names of the events that are kept for a workflow, in the order they were sent."""
    found = await tables.value(
        "SELECT array_agg(name ORDER BY id) FROM baton.workflow_events"
        " WHERE workflow_id = $1 AND state = 'kept'",
        workflow_id,
    )
    return list(found or ())
