"""What one transaction brought, beside the rows that it was for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from baton.words.actions import NewAction
from baton.words.rows import Announced, CancelledStep, Claim


class SettledWait(NamedTuple):
    """A wait that settled, as `WaitSettled` shows it. `outcome` is events, timeout or cancelled."""

    workflow_id: UUID
    workflow_name: str | None
    step: str
    job_id: int
    replay_key: str
    outcome: str
    seconds: float


class Grown(NamedTuple):
    """A workflow that got more steps, by one of its own (None: from outside)."""

    workflow_id: UUID
    workflow_name: str | None
    step: str | None
    added_count: int


class Effects(NamedTuple):
    """What is emitted and woken after a commit.

    `accepted` are the jobs whose outcomes were written, `released` the queues with jobs left
    available, `failing` the groups of wait steps whose time is over and whose steps are still to be
    failed, with their workflows, `actions` what people did, `interrupted` the claims that they have
    taken from whoever runs them, `grown` the workflows that got more steps.
    """

    accepted: frozenset[int] = frozenset()
    completions: Sequence[Announced] = ()
    cancelled: Sequence[CancelledStep] = ()
    released: Sequence[str] = ()
    waits: Sequence[SettledWait] = ()
    failing: Sequence[tuple[int, UUID]] = ()
    actions: Sequence[NewAction] = ()
    interrupted: frozenset[Claim] = frozenset()
    grown: Sequence[Grown] = ()

    def plus(self, more: Effects) -> Effects:
        """The effects of both, in their order."""
        return Effects(
            self.accepted | more.accepted,
            [*self.completions, *more.completions],
            [*self.cancelled, *more.cancelled],
            [*self.released, *more.released],
            [*self.waits, *more.waits],
            [*self.failing, *more.failing],
            [*self.actions, *more.actions],
            self.interrupted | more.interrupted,
            [*self.grown, *more.grown],
        )
