"""`check`, as a host calls it that runs no engine."""

from __future__ import annotations

from baton.completion import check
from baton.store.store import Store
from baton.words.config import EngineSettings
from baton.words.states import WorkflowOutcome
from support.inserting import Client


async def told(
    database: Store, job_id: int, state: str, result: object = None
) -> WorkflowOutcome | None:
    """`check` on this side's database."""
    client = Client(database, EngineSettings())
    return await check(job_id, state, result=result, engine=client)
