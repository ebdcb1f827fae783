"""A commit whose reply is lost: the connection dies after the server has done the work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import asyncpg
import pytest

from baton import Baton, Step, insert_all, send_event, worker
from baton.errors import UnavailableError
from baton.runtime import executor
from baton.store.dedicated import Dedicated
from baton.store.jobs import Claimant, read_claims, settle_and_claim
from baton.store.settlement import Settlement
from baton.store.store import ATTEMPTS, Store, store_of
from baton.store.translating import translating_database_errors
from baton.words.events import StepCompleted, StepExecuting
from baton.words.rows import Demand
from support.running import running
from support.waiting import DEADLINE


class Losing:
    """Loses the reply of one call of the hot path that claims something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, claims: int) -> None:
        self.lost: list[int] = []
        fetch = Dedicated.fetch

        async def losing(connection: Dedicated, query: str, *args: object) -> list[asyncpg.Record]:
            rows = await fetch(connection, query, *args)
            claimed = [
                row["id"] for row in rows if query == "settle_and_claim" and row["kind"] == 0
            ]
            if len(claimed) == claims and not self.lost:
                self.lost = claimed
                connection.drop()
                raise asyncpg.ConnectionDoesNotExistError("connection was closed")
            return rows

        monkeypatch.setattr(Dedicated, "fetch", losing)


@worker(max_attempts=1)
async def works(step: Step) -> str:
    return str(step.name)


async def test_jobs_claimed_in_it_are_run_at_once(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before a rescue could find them, and with their only attempt."""
    losing = Losing(monkeypatch, claims=3)
    workflow = Baton().add("a", works.new())
    for name in ("b", "c", "d"):
        workflow.add(name, works.new(), deps=["a"])
    workflow.add("e", works.new(), deps=["b", "c", "d"])
    async with running(dsn) as run:
        await run.completed(workflow)
        assert len(losing.lost) == 3
        for name in workflow.step_names:
            assert len(run.events.of(StepExecuting, step=name)) == 1
            assert len(run.events.of(StepCompleted, step=name)) == 1


async def test_no_more_of_them_run_than_the_queue_allows(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    losing = Losing(monkeypatch, claims=4)
    now, most = 0, 0

    @worker(max_attempts=1)
    async def counts(step: Step) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await step.own_result()
        now -= 1

    workflows = [Baton().add("a", counts.new()) for _ in range(100)]
    async with running(dsn, queues={"default": 8}) as run:
        await insert_all(workflows, engine=run.engine)
        for workflow in workflows:
            assert (await run.end(workflow)).outcome == "completed"
        assert len(losing.lost) == 4
    assert most <= 8


async def test_what_was_rescued_meanwhile_is_run_once(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found again, but not yet begun because the next settlement fails too: until that works the
    job is somebody else's.
    """
    losing = Losing(monkeypatch, claims=1)
    fetch, failed = Dedicated.fetch, list[bool]()
    workflow = Baton().add("a", works.new())
    # One settlement at a time, so that what fails is the one that has found the job.
    async with running(dsn, settlers=1) as run:

        async def failing(connection: Dedicated, query: str, *args: object) -> list[asyncpg.Record]:
            if query == "settle_and_claim" and losing.lost and not failed:
                failed.append(True)
                await run.tables.change(workflow, "a", state="'available'", attempt="0")
                connection.drop()
                raise asyncpg.ConnectionDoesNotExistError("connection was closed")
            return await fetch(connection, query, *args)

        monkeypatch.setattr(Dedicated, "fetch", failing)
        await run.completed(workflow)
        assert failed
        assert run.events.endings("a") == ["StepCompleted"]
        assert len(run.events.of(StepExecuting)) == 1


async def test_the_calls_of_another_engine_are_its_own(dsn: str) -> None:
    """They are numbered alike."""
    async with running(dsn, queues={}) as run:
        jobs = await run.insert(Baton().add("a", works.new()).add("b", works.new()))
        mine, theirs = (Claimant("node", uuid4(), "7") for _ in range(2))
        demand, claimed = [Demand("default", 1, True)], list[int]()
        for claimant in (mine, theirs):
            reply = await settle_and_claim(store_of(run.engine), [], demand, claimant, notify=False)
            claimed += [job.id for job in reply.jobs]
        assert claimed == [job.id for job in jobs]
        found = await read_claims(store_of(run.engine), mine, ["6", "7"])
        assert [(call, job.id) for call, job in found] == [("7", claimed[0])]
        await run.engine.workflow(jobs[0].workflow_id).cancel()


async def test_they_are_looked_for_also_when_another_settlement_found_no_work(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that the queue is empty: what the lost one claimed is executing by then."""
    answered = asyncio.Event()
    fetch, lost = Dedicated.fetch, False

    async def losing(connection: Dedicated, query: str, *args: object) -> list[asyncpg.Record]:
        nonlocal lost
        rows = await fetch(connection, query, *args)
        if query != "settle_and_claim":
            return rows
        if not lost and any(row["kind"] == 0 for row in rows):
            lost = True
            await asyncio.wait_for(answered.wait(), DEADLINE)
            connection.drop()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        # A few turns later: the engine has taken this answer by then.
        asyncio.get_running_loop().call_later(0.05, answered.set)
        return rows

    workflow = Baton().add("a", works.new())
    async with running(dsn, queues={}) as client:
        await client.insert(workflow)
        monkeypatch.setattr(Dedicated, "fetch", losing)
        async with running(dsn) as run:
            await run.end(workflow)
            assert lost


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of queries, each of which fails once, as if the connection were lost."""
    queries: list[str] = []
    fetch = Store.fetch

    async def once(database: Store, query: str, *args: object) -> list[asyncpg.Record]:
        if query in queries:
            queries.remove(query)
            with translating_database_errors():
                raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        return await fetch(database, query, *args)

    monkeypatch.setattr(Store, "fetch", once)
    yield queries
    assert queries == []


@worker(max_attempts=1)
async def reads(step: Step) -> list[str]:
    return [*await step.results(), await step.result("a", str)]


async def test_a_step_reads_again_what_it_could_not_read(dsn: str, failing: list[str]) -> None:
    workflow = Baton().add("a", works.new()).add("b", reads.new(), deps=["a"])
    failing += ["read_results", "read_result"]
    async with running(dsn) as run:
        await run.completed(workflow)
        assert (await run.tables.step(workflow, "b")).attempt == 1


async def test_a_step_that_cannot_read_for_long_keeps_its_attempt(
    dsn: str, failing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was its only one."""
    monkeypatch.setattr(executor, "FAULT_DELAY", 0.01)
    workflow = Baton().add("a", works.new()).add("b", reads.new(), deps=["a"])
    failing += ["read_results"] * ATTEMPTS
    async with running(dsn) as run:
        await run.completed(workflow)
        assert len(run.events.of(StepExecuting, step="b")) == 2
        assert (await run.tables.step(workflow, "b")).attempt == 1


@worker(max_attempts=1)
async def waits(step: Step) -> list[str]:
    return [await step.memo("noted", lambda: "here"), await step.wait_for("x")]


async def test_a_cancellation_of_a_wait_that_was_lost_says_so(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And may be made again."""
    workflow = Baton().wait("g", any_of=["x"])
    async with running(dsn) as run:
        await run.insert(workflow)
        with monkeypatch.context() as lost:

            async def lock(_: object, __: object) -> bool:
                raise asyncpg.InterfaceError("the underlying connection is closed")

            lost.setattr(Settlement, "lock_workflow", lock)
            with pytest.raises(UnavailableError):
                await run.engine.workflow(workflow.workflow_id).cancel_wait("g")
        assert await run.engine.workflow(workflow.workflow_id).cancel_wait("g")
        await run.end(workflow)


@pytest.mark.parametrize("query", ["read_waits", "read_memo", "write_memo"])
@pytest.mark.parametrize("times", [1, ATTEMPTS])
async def test_a_step_that_cannot_read_its_waits_keeps_its_attempt(
    dsn: str, failing: list[str], monkeypatch: pytest.MonkeyPatch, query: str, times: int
) -> None:
    """It was its only one."""
    monkeypatch.setattr(executor, "FAULT_DELAY", 0.01)
    workflow = Baton().add("a", waits.new())
    failing += [query] * times
    async with running(dsn) as run:
        await run.insert(workflow)
        await send_event(workflow.workflow_id, "x", "came", engine=run.engine)
        await run.end(workflow)
        step = await run.tables.step(workflow, "a")
        assert (step.state, step.attempt, step.result) == ("completed", 1, ["here", "came"])
