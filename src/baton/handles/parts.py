"""What handles use of their engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from baton.runtime.runtime import Runtime
from baton.settling.cascade_hooks import CascadeHooks
from baton.settling.completion_waiters import CompletionWaiters
from baton.settling.settle_and_claim import WorkflowLedger
from baton.store.ambient import Instance
from baton.words.rows import Announced


@dataclass(frozen=True, slots=True)
class EngineParts:
    """The parts of an engine, as `wiring` puts them together."""

    engine: Instance
    waiters: CompletionWaiters
    hooks: CascadeHooks
    ledger: WorkflowLedger
    runtime: Runtime
    finished: Callable[[Sequence[Announced]], None]
