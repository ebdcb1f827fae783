"""The one place that builds the parts of an engine and connects them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from baton.handles.parts import EngineParts
from baton.performing.perform import Performer
from baton.runs.deadlines import Deadlines
from baton.runtime.runtime import Runtime
from baton.settling.announce import emit_finished
from baton.settling.cascade_hooks import CascadeHooks
from baton.settling.completion_waiters import CompletionWaiters
from baton.settling.settle_and_claim import WorkflowLedger
from baton.store.ambient import Instance
from baton.store.sql import DEADLINES
from baton.store.store import store_of
from baton.waits.expire import Expiry
from baton.waits.spread import Handing
from baton.words.rows import Announced


def wired(engine: Instance) -> EngineParts:
    """The parts of an engine, from its database and its settings. Nothing runs yet."""
    database, settings = store_of(engine), engine.settings
    waiters = CompletionWaiters(database, tuple(settings.queues))
    hooks = CascadeHooks(database, settings)

    def finished(completions: Sequence[Announced]) -> None:
        emit_finished(settings.name, completions)
        waiters.settled(completions)

    ledger = WorkflowLedger(
        database,
        Performer(database, settings),
        notify=settings.notify,
        on_finished=finished,
        on_cancelled=hooks.run,
    )
    runtime = Runtime(database, settings, ledger)
    runtime.on("baton_finished", waiters.notified)
    for what, timer in (("waits", Expiry()), ("events", Handing())):
        runtime.alarm("baton_waits", what, partial(timer.run, database, settings))
    runtime.alarm(DEADLINES, "deadlines", partial(Deadlines().run, database, settings))
    return EngineParts(engine, waiters, hooks, ledger, runtime, finished)
