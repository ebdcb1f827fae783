"""Who did what, and why: checked before an action, emitted after its commit."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from baton.core.errortext import sanitize
from baton.store.settlement import Course, Settlement
from baton.store.store import Store
from baton.telemetry import seam
from baton.words.actions import NewAction
from baton.words.argument_errors import InvalidOptionError
from baton.words.events import ActionDone

MOST_CHARACTERS = 2_000


class Member(NamedTuple):
    """A workflow as one of those that a bulk operation acts on: once, and only while it is in this
    state (None: any).
    """

    bulk_id: UUID
    state: str | None


class Told(NamedTuple):
    """Who acts, and why, as the caller told; for one workflow, or for it as one of many."""

    by: str | None
    reason: str | None
    member: Member | None = None

    @property
    def bulk_id(self) -> UUID | None:
        return None if self.member is None else self.member.bulk_id


class PassedByError(Exception):
    """A workflow that a bulk operation has acted on, or that has left the state it asks for."""


def told(by: object, reason: object) -> Told:
    """The checked options of an action. Raises InvalidOptionError."""
    return Told(_text("by", by), _text("reason", reason))


def _text(option: str, given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > MOST_CHARACTERS:
        expected = f"a text of at most {MOST_CHARACTERS} characters, or None"
        raise InvalidOptionError(option, given, expected)
    return sanitize(given)


async def lock_for(settlement: Settlement, workflow_id: UUID, told: Told) -> Course | None:
    """Lock a workflow for an action; None when there is none. Raises PassedByError."""
    course = await settlement.lock_course(workflow_id)
    if course is not None and told.member is not None:
        bulk_id, state = told.member
        acted, now = await settlement.read_standing(workflow_id, bulk_id)
        if acted or state not in (None, now):
            raise PassedByError
    return course


def emit_action(database: Store, action: NewAction) -> None:
    """Emit the event of an action that this process has committed."""
    if seam.active:
        seam.emit(
            ActionDone(
                database.engine,
                action.workflow_id,
                action.step,
                action.action,
                action.actor,
                action.reason,
                action.run,
            )
        )
