"""Why a step is waiting, asked of real rows, one moment at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from baton import Baton, Step, Worker
from baton.insights import Insights, Reason
from baton.store.database import database_of
from baton.store.store import Store
from support.inserting import session
from support.looking import noop, sight
from support.running import running
from support.waiting import eventually


def pair() -> Baton:
    return Baton().add("a", noop.new(), max_attempts=3).add("b", noop.new(), deps=["a"])


async def test_every_state_of_a_step_has_its_reason(dsn: str) -> None:
    async with sight(dsn) as seen:
        workflow = pair()
        await seen.insert(workflow)

        async def reason(step: str = "a", **columns: object) -> Reason:
            if columns:
                await seen.tables.change(workflow, step, **columns)
            return (await seen.look.why(workflow.workflow_id, step)).reason

        assert await reason() == "no_engine"
        await seen.engine(silent_for=61)
        assert await reason() == "no_engine"
        live = await seen.engine()
        assert await reason() == "queued"
        assert await reason(attempt=3) == "exhausted"
        assert await reason(attempt=1, state="'retryable'") == "retryable"
        assert await reason(state="'scheduled'") == "scheduled"
        mine = f"'{{n,{live},baton}}'"
        assert await reason(state="'executing'", attempted_by=mine) == "executing"
        assert await reason("b") == "dependencies"
        assert await reason(attempted_by=f"'{{n,{uuid4()},baton}}'") == "orphaned"
        assert await reason(attempted_by="'{n,not-a-uuid,baton}'") == "orphaned"
        assert await reason(attempted_by=f"'{{n,{live}}}'") == "foreign"
        assert await reason(attempted_by="'{}'") == "foreign"
        assert await reason(attempted_by=mine) == "executing"
        await seen.execute("UPDATE baton.baton_engines SET seen_at = seen_at - interval '2 min'")
        assert await reason() == "orphaned"
        assert await reason(state="'completed'", completed_at="timezone('UTC', now())") == "ended"
        assert await reason("b") == "unreleased"
        await seen.settle(workflow, "a", "completed")
        assert await reason() == "settled"
        await seen.settle(workflow, "a", "discarded")
        assert await reason("b") == "doomed"
        await seen.execute("DELETE FROM baton.oban_jobs WHERE meta ->> 'workflow_name' = 'b'")
        assert await reason("b") == "gone"


async def test_what_stands_before_a_step_in_its_queue(dsn: str) -> None:
    async with sight(dsn) as seen:
        await seen.engine()
        workflow = Baton()
        for number in range(4):
            workflow.add(f"s{number}", noop.new(), queue="io", priority=int(number == 1))
        await seen.insert(workflow, Baton().add("other", noop.new()))
        await seen.tables.change(workflow, "s0", state="'executing'")
        why = await seen.look.why(workflow.workflow_id, "s3")
        assert (why.ahead, why.executing, why.live_engines, why.queue) == (1, 1, 1, "io")
        assert (await seen.look.why(workflow.workflow_id, "s1")).ahead == 2
        assert (await seen.look.why(workflow.workflow_id, "s2")).ahead == 0
        assert (
            "jobs before it: 2, executing in that queue: 1, live engines that serve it: 1"
            in (await seen.look.why(workflow.workflow_id, "s1")).sentence
        )


async def test_a_failing_step_of_a_running_engine(dsn: str) -> None:
    class Fails(Worker, name="why.fails", max_attempts=2):
        async def perform(self, step: Step) -> None:
            raise ValueError("no luck")

        def backoff(self, attempt: int) -> float:
            return 3_600

    async with running(dsn) as run:
        look = Insights(run.engine.database)
        workflow = Baton().add("a", Fails()).add("b", noop.new(), deps=["a"])
        await run.insert(workflow)

        async def failed() -> bool:
            return (await look.why(workflow.workflow_id, "a")).reason == "retryable"

        await eventually(failed)
        why = await look.why(workflow.workflow_id, "a")
        assert "failed on attempt 1 of 2" in why.sentence
        assert "ValueError: no luck" in why.sentence
        assert why.until is not None
        waiting = await look.why(workflow.workflow_id, "b")
        assert waiting.sentence == "step 'b' waits for dependencies (1 of 1): 'a' is retryable"
        await run.tables.change(workflow, "a", scheduled_at="timezone('UTC', now())")
        await run.end(workflow)
        assert "settled as discarded" in (await look.why(workflow.workflow_id, "a")).sentence
        why = await look.why(workflow.workflow_id, "b")
        assert "dependency 'a' was discarded" in why.sentence


class _Slow:
    """A connection on which something happens between two queries."""

    def __init__(
        self,
        connection: asyncpg.Connection[Any],
        between: Callable[[], Awaitable[None]],
        naive: bool,
    ) -> None:
        self._connection = connection
        self._between = between
        self._naive = naive
        self._asked = 0

    def transaction(self, **options: Any) -> Any:
        return self._connection.transaction(**({} if self._naive else options))

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        if self._asked:
            await self._between()
        self._asked += 1
        return await self._connection.fetch(query, *args)


class _Overtaken(Store):
    """While it reads, somebody else commits. `naive`: it reads without one snapshot."""

    def __init__(self, dsn: str, between: Callable[[], Awaitable[None]], *, naive: bool) -> None:
        super().__init__(dsn, pool_size=1)
        self._between = between
        self._naive = naive

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        async with super().connection() as connection:
            yield _Slow(connection, self._between, self._naive)  # type: ignore[misc]


@pytest.mark.parametrize(("naive", "reason"), [(False, "dependencies"), (True, "unreleased")])
async def test_the_answer_is_of_one_moment(dsn: str, naive: bool, reason: str) -> None:
    """A dependency settles, and releases the step, between two reads of the answer. Read apart, the
    step would look forgotten.
    """
    async with sight(dsn) as seen, session(dsn) as other:
        workflow = pair()
        await seen.insert(workflow)

        async def settle() -> None:
            async with other.transaction():
                await other.execute(
                    "UPDATE workflow_nodes SET state = 'completed' WHERE name = 'a'"
                )
                await other.execute(
                    "UPDATE oban_jobs SET state = CASE meta ->> 'workflow_name'"
                    " WHEN 'a' THEN 'completed'::oban_job_state ELSE 'available' END"
                )

        database = _Overtaken(dsn, settle, naive=naive)
        await database.open()
        try:
            why = await Insights(database_of(database)).why(workflow.workflow_id, "b")
        finally:
            await database.close()
        assert why.reason == reason
        assert (await seen.look.why(workflow.workflow_id, "b")).reason == "no_engine"
