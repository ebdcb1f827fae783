"""Who did what, and why: checked before an action, emitted after its commit."""

from __future__ import annotations

from typing import NamedTuple

from baton.core.errortext import sanitize
from baton.store.database import Database
from baton.telemetry import seam
from baton.words.actions import NewAction
from baton.words.argument_errors import InvalidOptionError
from baton.words.events import ActionDone

MOST_CHARACTERS = 2_000


class Told(NamedTuple):
    """Who acts, and why, as the caller told."""

    by: str | None
    reason: str | None


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


def emit_action(database: Database, action: NewAction) -> None:
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
