"""Questions about workflows, queues and engines, answered without changing anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from baton.core.attributes import checked_tags, encoded_attributes
from baton.core.checks import check_page_limit, flag, parse_workflow_id
from baton.core.gate import DependencyRules
from baton.core.names import (
    validate_event_name,
    validate_key,
    validate_step_name,
    validate_workflow_name,
)
from baton.core.why import explain
from baton.reading.missing_steps import missing_step
from baton.reading.paging import page, parse_id, parse_place, place_text
from baton.store import insights as store
from baton.store.actions import list_actions, list_history
from baton.store.bulk import list_bulks
from baton.store.completions import find_missing_workflows
from baton.store.database import Database, given_store
from baton.store.insights import Place
from baton.store.waits import WaitFilter, read_waiting
from baton.words.actions import Action
from baton.words.argument_errors import InvalidOptionError
from baton.words.bulk import Bulk
from baton.words.insights import (
    EngineRow,
    QueueRow,
    StepRow,
    Why,
    WorkflowDetail,
    WorkflowRow,
    WorkflowState,
)
from baton.words.paging import Page
from baton.words.rows import WaitingStep
from baton.words.runs import StepHistory
from baton.words.states import JobState, StepState
from baton.words.workflow_errors import UnknownWorkflowError

T = TypeVar("T")

MOST_ROWS = 1_000
"""Most rows of one page."""

MOST_WAITS = 10_000
"""Most waits of one page."""


class Insights:
    """Reads what there is to know, for commands, dashboards and metrics.

        insights = Insights(engine.database)
        page = await insights.workflows(state="failed")

    Needs an open `Database`, no engine, and no right but SELECT on Baton's tables and `oban_jobs`.
    Every answer is of one moment. Times are aware UTC datetimes, ages are seconds by the database's
    clock. All raise InvalidOptionError for what they cannot understand, UnavailableError when the
    database cannot be reached, and DatabaseError when it refuses.
    """

    def __init__(self, database: Database) -> None:
        self._database = given_store(database)

    async def workflows(
        self,
        state: WorkflowState | str | None = None,
        workflow_name: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tags: Iterable[str] | None = None,
        attributes: Mapping[str, Any] | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[WorkflowRow]:
        """Workflows, newest first: those of a state (running, completed, failed, cancelled), of
        a whole workflow name, and inserted at `since` or later and before `until` (aware
        datetimes), that have all these `tags` and whose attributes contain `attributes`; None
        for all. `after` is the `next` of the page before, `limit` 1 to 1,000.

        One call looks at no more than 10,000 workflows: with a state or a name that few of them
        have, a page may be short and the list go on. A workflow that commits late may take its
        place on a page that was read before.
        """
        wanted = _workflow_state(state)
        name = None if workflow_name is None else validate_workflow_name(workflow_name)
        first = None if since is None else _moment("since", since)
        place = None if until is None else Place(_moment("until", until), UUID(int=0))
        if after is not None:
            last_read = Place(*parse_place(after))
            place = last_read if place is None else min(place, last_read)
        check_page_limit(limit, MOST_ROWS)
        chosen = store.WorkflowFilter(
            wanted, name, first, checked_tags(tags) or None, encoded_attributes(attributes)
        )
        rows, last = await self._read(
            lambda: store.list_workflows(self._database, chosen, place, limit)
        )
        return Page(tuple(rows), None if last is None else place_text(*last))

    async def workflow(self, workflow_id: UUID | str) -> WorkflowDetail:
        """One workflow, its steps counted by state, and its completion; takes time in proportion to
        its steps. Of one that was pruned up to its completion no step is counted.

        Raises UnknownWorkflowError.
        """
        given = parse_workflow_id(workflow_id)
        found = await self._read(lambda: store.read_workflow(self._database, given))
        if found is None:
            raise UnknownWorkflowError(given)
        return found

    async def steps(
        self,
        workflow_id: UUID | str,
        *,
        state: JobState | StepState | str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[StepRow]:
        """The steps of a workflow, in the order they were added: those of a state, the settled one,
        before that the job's, or "gone" where an unsettled step's job was deleted; None for all.
        `after` is the `next` of the page before, `limit` 1 to 1,000.

        Raises UnknownWorkflowError.
        """
        given = parse_workflow_id(workflow_id)
        wanted = _step_state(state)
        last = 0 if after is None else parse_id(after)
        check_page_limit(limit, MOST_ROWS)
        rows = await self._read(
            lambda: store.read_steps(self._database, given, wanted, last, limit + 1)
        )
        if not rows:
            missing = await self._read(lambda: find_missing_workflows(self._database, [given]))
            if missing:
                raise UnknownWorkflowError(given)
        return page(rows, limit, lambda row: str(row.job_id))

    async def queues(self) -> tuple[QueueRow, ...]:
        """Every queue that holds a job that has not ended, by name; takes time in proportion to
        those jobs, whatever the number of finished ones.
        """
        return tuple(await self._read(lambda: store.count_queues(self._database)))

    async def engines(self) -> tuple[EngineRow, ...]:
        """The engines that have not stopped, live and silent, by name. A crashed one stays listed
        until its jobs have been rescued and, where nobody could see its process end, it has been
        silent for five times its `rescue_after`.
        """
        return tuple(await self._read(lambda: store.read_engines(self._database)))

    async def waiting_steps(
        self,
        workflow_id: UUID | str | None = None,
        *,
        prompted: bool | None = None,
        event: str | None = None,
        correlation_key: str | None = None,
        workflow_name: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[WaitingStep]:
        """What is waiting for what since when, oldest first: of one workflow, or of all.

        Only those with a prompt (`prompted`; False: those without), that wait for an `event`, with
        a `correlation_key`, or in workflows of a name; None for all. `after` is the `next` of the
        page before, `limit` 1 to 10,000.
        """
        given = None if workflow_id is None else parse_workflow_id(workflow_id)
        check_page_limit(limit, MOST_WAITS)
        wanted = WaitFilter(
            None if prompted is None else flag("prompted", prompted),
            None if event is None else validate_event_name(event),
            None if correlation_key is None else validate_key("correlation_key", correlation_key),
            None if workflow_name is None else validate_workflow_name(workflow_name),
        )
        last = 0 if after is None else parse_id(after)
        rows = await read_waiting(self._database, given, wanted, limit + 1, last)
        return page(rows, limit, lambda row: str(row.wait_id))

    async def actions(
        self, workflow_id: UUID | str | None = None, *, after: str | None = None, limit: int = 100
    ) -> Page[Action]:
        """Who did what to a workflow, or to any (None), newest first. `after` is the `next` of the
        page before, `limit` 1 to 1,000. What was done to a workflow is pruned with it.
        """
        given = None if workflow_id is None else parse_workflow_id(workflow_id)
        before = None if after is None else parse_id(after)
        check_page_limit(limit, MOST_ROWS)
        rows = await list_actions(self._database, given, before, limit + 1)
        return page(rows, limit, lambda row: str(row.action_id))

    async def bulks(self, *, after: str | None = None, limit: int = 100) -> Page[Bulk]:
        """Operations on many workflows and how far they have come, newest first. `after` is the
        `next` of the page before, `limit` 1 to 1,000. One that has finished is kept for 90 days.
        """
        place = None if after is None else parse_place(after)
        check_page_limit(limit, MOST_ROWS)
        rows = await list_bulks(self._database, place, limit + 1)
        return page(rows, limit, lambda row: place_text(row.started_at, row.bulk_id))

    async def history(
        self,
        workflow_id: UUID | str,
        step: str | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[StepHistory]:
        """What retries have replaced of the steps of a workflow, or of one step, newest first.
        `after` is the `next` of the page before, `limit` 1 to 1,000.
        """
        given = parse_workflow_id(workflow_id)
        name = None if step is None else validate_step_name(step)
        before = None if after is None else parse_id(after)
        check_page_limit(limit, MOST_ROWS)
        rows = await list_history(self._database, given, name, before, limit + 1)
        return page(rows, limit, lambda row: str(row.history_id))

    async def why(self, workflow_id: UUID | str, step: str) -> Why:
        """Why a step is waiting, or what has become of it.

        Raises UnknownWorkflowError, UnknownStepError.
        """
        given = parse_workflow_id(workflow_id)
        name = validate_step_name(step)
        found = await self._read(lambda: store.read_step_facts(self._database, given, name))
        if found is None:
            raise await missing_step(self._database, given, name)
        facts, rows = found
        return explain(
            facts,
            [row.dependency for row in rows],
            rows[0].rules if rows else DependencyRules(),
            rows[0].unmet if rows else None,
        )

    async def _read(self, body: Callable[[], Awaitable[T]]) -> T:
        return await self._database.retrying(body, idempotent=True)


def _workflow_state(given: WorkflowState | str | None) -> WorkflowState | None:
    if given is None:
        return None
    try:
        return WorkflowState(given)
    except ValueError:
        raise InvalidOptionError(
            "state", given, "running, completed, failed or cancelled"
        ) from None


def _step_state(given: JobState | StepState | str | None) -> str | None:
    if given is not None and given not in store.STEP_STATES:
        raise InvalidOptionError("state", given, f"one of {', '.join(store.STEP_STATES)}")
    return given


def _moment(option: str, given: object) -> datetime:
    if not isinstance(given, datetime) or given.tzinfo is None:
        raise InvalidOptionError(option, given, "an aware datetime, such as datetime.now(UTC)")
    return given
