"""The real rescuer and the real ledger, of engines of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from baton.performing.perform import Performer
from baton.runtime.rescue import Rescuer
from baton.settling.settle_and_claim import WorkflowLedger
from baton.store.jobs import Claimant
from baton.store.store import Store
from baton.sweep.without_engine import NoJobs
from baton.words.config import EngineSettings
from support.running import beating


@asynccontextmanager
async def ledger(database: Store) -> AsyncIterator[WorkflowLedger]:
    """The ledger of an engine."""
    books = WorkflowLedger(
        database,
        Performer(database, EngineSettings()),
        Claimant("race", uuid4()),
        notify=False,
        on_finished=lambda _: None,
        on_cancelled=lambda _: None,
    )
    try:
        yield books
    finally:
        books.close()


async def rescue(database: Store) -> None:
    """One pass of the rescuer; the arena's claimants never had a heartbeat."""
    settings, engine = EngineSettings(queues={"other": 1}), uuid4()
    await beating(database, engine)
    async with ledger(database) as books:
        await Rescuer(database, settings, engine, books, NoJobs()).rescue()
