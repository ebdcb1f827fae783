"""The engine's rescue of orphaned jobs, for a plugin that runs without an engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import anyio

from baton.performing.perform import Performer
from baton.runtime.heartbeat import Heartbeat
from baton.runtime.rescue import Rescuer
from baton.runtime.tasks import END_TIMEOUT, Deadline
from baton.settling.announce import emit_finished
from baton.settling.cascade_hooks import CascadeHooks
from baton.settling.settle_and_claim import WorkflowLedger
from baton.store.jobs import Claimant
from baton.store.store import Store
from baton.words.config import EngineSettings
from baton.words.rows import Claim

_STOP_SECONDS = 6.0


class NoJobs:
    """The own jobs of a sweeper that performs none."""

    known_ids: Sequence[int] = ()
    claims: Sequence[Claim] = ()

    def interrupt_claims(self, claims: Container[Claim]) -> None:
        """None of them runs here."""

    def wake(self) -> None:
        """Nobody here claims what was rescued."""


@asynccontextmanager
async def rescuing(
    database: Store, settings: EngineSettings
) -> AsyncGenerator[Callable[[], Awaitable[None]], None]:
    """One pass of the rescue, to be called again and again.

    It has a heartbeat, because only who has been steady for long enough may call others dead.
    """
    engine_id = uuid4()
    hooks = CascadeHooks(database, settings)
    ledger = WorkflowLedger(
        database,
        Performer(database, settings),
        Claimant(settings.node, engine_id),
        notify=settings.notify,
        on_finished=partial(emit_finished, database.engine),
        on_cancelled=hooks.run,
    )
    heartbeat = Heartbeat(database, settings, engine_id)
    rescuer = Rescuer(database, settings, engine_id, ledger, NoJobs())
    await heartbeat.start()
    try:
        yield rescuer.rescue
    finally:
        with anyio.CancelScope(shield=True):
            deadline = Deadline(_STOP_SECONDS)
            await heartbeat.stop(END_TIMEOUT)
            await hooks.stop(deadline.left(_STOP_SECONDS))
            ledger.close()
            await heartbeat.retire(deadline.left(END_TIMEOUT))
