"""A verb whose commit was lost answers for what it did, or says that this is unknown: it is never
done again on top of its own success.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from baton import Baton, Engine, Step, worker
from baton.errors import BulkStoppedError, StepSettledError, UnavailableError
from baton.store import store
from support.inserting import Connection
from support.proxy import Cut, Proxy, Way, proxied
from support.running import fast
from support.waiting import DEADLINE


@worker(name="lost_commits.works")
async def works(step: Step) -> None:
    """Never performed."""


@asynccontextmanager
async def client(dsn: str) -> AsyncIterator[tuple[Engine, Proxy]]:
    """An engine that performs nothing, behind a door."""
    async with proxied(dsn) as proxy, fast(proxy.dsn, queues={}, notify=False) as engine:
        await proxy.quiet(0.03)
        yield engine, proxy


@pytest.fixture(params=[Way.LOST, Way.TERMINATE])
def lost(request: pytest.FixtureRequest) -> Cut:
    """The reply to the first commit."""
    return Cut(1, True, request.param, "COMMIT;")


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets to know what became of a transaction."""
    fetch = store.Store.fetch

    async def refusing(self: store.Store, query: str, *args: object) -> list[asyncpg.Record]:
        if query == "read_transaction_status":
            raise UnavailableError("not today")
        return await fetch(self, query, *args)

    monkeypatch.setattr(store.Store, "fetch", refusing)
    monkeypatch.setattr(store, "LOOK_UP_TIMEOUT", 0.1)


async def cut(proxy: Proxy) -> None:
    async with asyncio.timeout(DEADLINE):
        await proxy.cut.wait()


async def inserted(db: Connection) -> Baton:
    flow = Baton(workflow_name="lost").add("a", works.new()).add("b", works.new())
    await flow.insert(conn=db)
    return flow


async def actions(db: Connection) -> list[str]:
    return [row[0] for row in await db.fetch("SELECT action FROM baton_actions ORDER BY id")]


async def test_a_commit_that_is_looked_up_is_answered_for(
    dsn: str, db: Connection, lost: Cut
) -> None:
    flow = await inserted(db)
    async with client(dsn) as (engine, proxy):
        proxy.arm(lost)
        assert await engine.workflow(flow.workflow_id).cancel_step("a", "no") == 1
        await cut(proxy)
    assert await actions(db) == ["cancel_step"]


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("verb", ["cancel_step", "complete_step", "fork", "pause", "retry"])
async def test_a_commit_that_cannot_be_looked_up_is_in_doubt(
    dsn: str, db: Connection, verb: str, lost: Cut
) -> None:
    """Without that, cancelling calls the step settled, pausing says that it was paused already, and
    retrying finds nothing to retry.
    """
    flow = await inserted(db)
    async with client(dsn) as (engine, proxy):
        handle = engine.workflow(flow.workflow_id)
        if verb == "retry":
            await handle.cancel_step("a", "no")
        before = await actions(db)
        proxy.arm(lost)
        with pytest.raises(UnavailableError, match="unknown whether") as caught:
            await getattr(handle, verb)(*["a"] * verb.endswith("_step"))
        await cut(proxy)
        assert caught.value.in_doubt
        assert await actions(db) == [*before, verb]
        if verb == "cancel_step":
            with pytest.raises(StepSettledError):
                await handle.cancel_step("a", "no")
    forks = 1 if verb == "fork" else 0
    assert await db.fetchval("SELECT count(*) FROM workflows") == 1 + forks


@pytest.mark.usefixtures("blind")
async def test_a_bulk_operation_stops_there_and_goes_on(
    dsn: str, db: Connection, lost: Cut
) -> None:
    flows = [await inserted(db) for _ in range(3)]
    async with client(dsn) as (engine, proxy):
        # The first commits are of reads: how many there are, and which.
        proxy.arm(lost._replace(boundary=3))
        with pytest.raises(BulkStoppedError) as stopped:
            await engine.workflows(workflow_name="lost").cancel()
        await cut(proxy)
        assert await actions(db) == ["cancel"]
        bulk = await engine.resume_bulk(stopped.value.bulk_id)
        assert (bulk.state, bulk.matched, bulk.done, bulk.failed) == ("finished", 3, 3, 0)
    assert await actions(db) == ["cancel"] * len(flows)


async def test_a_list_whose_reply_is_lost_is_read_again(
    dsn: str, db: Connection, lost: Cut
) -> None:
    flow = await inserted(db)
    async with client(dsn) as (engine, proxy):
        proxy.arm(lost)
        (row,) = await engine.insights.workflows()
        assert row.workflow_id == flow.workflow_id
        await cut(proxy)
