"""The handle of many workflows: those that match a filter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from baton.core.attributes import checked_tags, encoded_attributes
from baton.core.checks import check_reason
from baton.core.errortext import sanitize
from baton.core.jsonvalue import decode
from baton.handles.parts import EngineParts
from baton.handles.verbs import act
from baton.runs.actions import told
from baton.runs.bulk import Progress, count_matching, walk
from baton.runs.retry import asked
from baton.store.ambient import opened
from baton.store.bulk import insert_bulk
from baton.store.store import store_of
from baton.words.argument_errors import InvalidOptionError
from baton.words.bulk import Bulk
from baton.words.insights import WorkflowState
from baton.words.runs import RetryMode


class WorkflowsHandle:
    """All workflows that match a filter, as an engine reaches them:
    `engine.workflows(state="failed", workflow_name="ingest")`.

    A verb goes through those that there were when it began, newest first, and does to each what the
    method of its own handle does, in a transaction of its own. It is written down as a bulk
    operation (`insights.bulks`): where it stops on its way, `engine.resume_bulk` does the rest.
    No workflow is acted on twice by one operation, and none that has left the `state` of the filter
    meanwhile. `progress` is called with the operation after every hundred workflows.

    All raise EngineStateError unless the engine runs, InvalidOptionError and InvalidNameError for a
    filter that cannot be; the verbs refuse one that filters nothing, and raise BulkStoppedError
    when the database is away before they have come to the end. Tags and attributes are checked when
    the handle is made, see `Engine.workflows`.
    """

    def __init__(
        self,
        parts: EngineParts,
        *,
        state: WorkflowState | str | None,
        workflow_name: str | None,
        since: datetime | None,
        until: datetime | None,
        tags: Iterable[str] | None,
        attributes: Mapping[str, Any] | None,
    ) -> None:
        text = encoded_attributes(attributes)
        self._parts = parts
        self._chosen: dict[str, Any] = {
            "state": state,
            "workflow_name": workflow_name,
            "since": since,
            "until": until,
            # Read once: an iterator is used up then, and a mapping may change.
            "tags": checked_tags(tags) or None,
            "attributes": None if text is None else decode(text),
        }

    def __repr__(self) -> str:
        given = {name: value for name, value in self._chosen.items() if value is not None}
        return f"<WorkflowsHandle {given} of engine {self._parts.engine.settings.name!r}>"

    async def count(self) -> int:
        """How many there are now: what a verb would go through."""
        return await count_matching(store_of(opened("count", self._parts.engine)), self._chosen)

    async def cancel(
        self,
        reason: str = "cancelled by request",
        *,
        by: str | None = None,
        progress: Progress | None = None,
    ) -> Bulk:
        """Cancel each; see `WorkflowHandle.cancel`."""
        check_reason(reason)
        return await self._begin("cancel", {}, by, sanitize(reason), progress)

    async def retry(
        self,
        mode: RetryMode | str = RetryMode.FAILED,
        *,
        steps: Iterable[str] | None = None,
        args: Mapping[str, Mapping[str, Any]] | None = None,
        keep_memos: bool = False,
        interrupt: bool = False,
        by: str | None = None,
        reason: str | None = None,
        progress: Progress | None = None,
    ) -> Bulk:
        """Begin steps of each anew; see `WorkflowHandle.retry`. One that refuses, such as for a
        step that runs, is counted as failed, with its error.
        """
        given = asked(mode, steps, args, keep_memos=keep_memos, interrupt=interrupt)
        options = {
            "mode": RetryMode.FAILED if given.names else given.mode,
            "steps": given.names or None,
            "args": given.args,
            "keep_memos": given.keep_memos,
            "interrupt": given.interrupt,
        }
        return await self._begin("retry", options, by, reason, progress)

    async def pause(
        self,
        reason: str | None = None,
        *,
        by: str | None = None,
        progress: Progress | None = None,
    ) -> Bulk:
        """Pause each; see `WorkflowHandle.pause`."""
        return await self._begin("pause", {}, by, reason, progress)

    async def resume(
        self,
        reason: str | None = None,
        *,
        by: str | None = None,
        progress: Progress | None = None,
    ) -> Bulk:
        """Have each go on; see `WorkflowHandle.resume`."""
        return await self._begin("resume", {}, by, reason, progress)

    async def _begin(
        self,
        action: str,
        options: Mapping[str, Any],
        by: str | None,
        reason: str | None,
        progress: Progress | None,
    ) -> Bulk:
        database = store_of(opened(action, self._parts.engine))
        who = told(by, reason)
        chosen = self._chosen
        if all(value is None for value in chosen.values()):
            names = ", ".join(chosen)
            raise InvalidOptionError("filter", {}, f"at least one of {names}")
        matched = await count_matching(database, chosen)
        bulk_id = uuid4()
        await insert_bulk(database, bulk_id, action, chosen, options, who.by, who.reason, matched)
        return await go_on(self._parts, bulk_id, progress)


async def go_on(parts: EngineParts, bulk_id: UUID, progress: Progress | None) -> Bulk:
    """Do what is left of a bulk operation."""
    database = store_of(opened("resume_bulk", parts.engine))
    return await walk(database, bulk_id, partial(act, parts), progress)
