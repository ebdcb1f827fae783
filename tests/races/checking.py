"""`check`, as a host calls it that runs no engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from baton.completion import check
from baton.store.ambient import Instance
from baton.store.database import Database
from baton.words.config import EngineSettings
from baton.words.states import WorkflowOutcome


async def told(
    database: Database, job_id: int, state: str, result: object = None
) -> WorkflowOutcome | None:
    """`check` on this side's database."""
    instance = SimpleNamespace(database=database, settings=EngineSettings())
    return await check(job_id, state, result=result, engine=cast(Instance, instance))
