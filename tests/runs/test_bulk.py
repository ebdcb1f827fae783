"""A verb on all workflows that match a filter: each once, whoever dies on the way."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from baton import Baton, Discard, Engine, Step, insert_all, worker
from baton.errors import (
    BulkStoppedError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    UnavailableError,
    UnknownBulkError,
)
from baton.handles.verbs import act
from baton.insights import Bulk
from baton.runs import bulk as walking
from baton.store import insights as looking
from baton.store.store import store_of
from support.programs import program
from support.running import Run, running
from support.waiting import eventually

MANY = int(os.environ.get("BATON_BULK", "200"))
PROGRAM = Path(__file__).parents[1] / "support" / "retrying_many.py"


@worker(name="bulk.fails")
async def fails(step: Step, *, well: bool = False) -> Discard | None:
    return None if well else Discard("no")


def one(name: str = "ingest") -> Baton:
    return Baton(workflow_name=name).add("a", fails.new())


def held(name: str = "ingest") -> Baton:
    return Baton(workflow_name=name).wait("gate", any_of=["go"])


async def failed(engine: Engine, count: int, name: str = "ingest") -> list[Baton]:
    flows = [one(name) for _ in range(count)]
    await insert_all(flows, engine=engine)
    for flow in flows:
        await engine.workflow(flow.workflow_id).completion(timeout=30)
    return flows


async def acted(engine: Engine, bulk: Bulk) -> dict[UUID, int]:
    """How many actions of an operation each workflow has."""
    rows = await engine.insights.actions(limit=1_000)
    counts: dict[UUID, int] = {}
    for row in rows:
        if row.bulk_id == bulk.bulk_id:
            counts[row.workflow_id] = counts.get(row.workflow_id, 0) + 1
    return counts


def counts(bulk: Bulk) -> tuple[str, int, int, int, int]:
    return str(bulk.state), bulk.matched, bulk.done, bulk.passed, bulk.failed


async def test_what_matches_is_retried(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "BATCH", 2)
    async with running(dsn) as run:
        flows = await failed(run.engine, 5)
        await failed(run.engine, 1, "other")
        seen: list[Bulk] = []
        chosen = run.engine.workflows("failed", "ingest")
        assert await chosen.count() == 5
        bulk = await chosen.retry(
            args={"a": {"well": True}}, by="ann", reason="fixed", progress=seen.append
        )
        assert counts(bulk) == ("finished", 5, 5, 0, 0)
        assert (bulk.action, bulk.actor, bulk.reason, bulk.failures) == (
            "retry",
            "ann",
            "fixed",
            (),
        )
        assert (bulk.filter["workflow_name"], bulk.options["mode"]) == ("ingest", "failed")
        assert [one.done for one in seen] == [0, 0, 2, 4, 5]
        assert await acted(run.engine, bulk) == {flow.workflow_id: 1 for flow in flows}
        for flow in flows:
            completion = await flow.handle().completion(timeout=30)
            assert (completion.run, completion.outcome) == (2, "completed")
        assert await run.engine.resume_bulk(str(bulk.bulk_id)) == bulk
        assert (await run.engine.insights.bulks()).rows == (bulk,)
        assert await run.engine.workflows("failed").count() == 1


async def test_every_verb(dsn: str) -> None:
    async with running(dsn) as run:
        flows = [held(), held()]
        await insert_all(flows)
        chosen = run.engine.workflows("running")
        for bulk in (await chosen.pause("wait"), await chosen.resume("go"), await chosen.pause()):
            assert counts(bulk) == ("finished", 2, 2, 0, 0)
        assert counts(await chosen.pause()) == ("finished", 2, 0, 2, 0)
        bulk = await chosen.cancel("old", by="ann")
        assert (counts(bulk), bulk.reason) == (("finished", 2, 2, 0, 0), "old")
        assert await chosen.count() == 0
        assert counts(await chosen.cancel()) == ("finished", 0, 0, 0, 0)
        (last, *_) = await run.engine.insights.actions(flows[0].workflow_id)
        assert (last.action, last.actor, last.reason) == ("cancel", "ann", "old")


async def test_times_and_pages(dsn: str) -> None:
    async with running(dsn) as run:
        await failed(run.engine, 2)
        now = datetime.now(UTC)
        hour = timedelta(hours=1)
        assert await run.engine.workflows(since=now - hour, until=now + hour).count() == 2
        bulk = await run.engine.workflows("failed", until=now - hour).retry()
        assert counts(bulk) == ("finished", 0, 0, 0, 0)
        again = await run.engine.workflows("failed", since=now - hour).retry()
        assert counts(again) == ("finished", 2, 2, 0, 0)
        first = await run.engine.insights.bulks(limit=1)
        assert (first.rows, first.next is None) == ((again,), False)
        assert (await run.engine.insights.bulks(after=first.next)).rows == (bulk,)


async def test_what_refuses_is_told_and_the_rest_goes_on(dsn: str) -> None:
    async with running(dsn) as run:
        flows = await failed(run.engine, 3)
        job_id = (await run.tables.step(flows[1], "a")).id
        await run.tables.execute(f"DELETE FROM baton.oban_jobs WHERE id = {job_id}")
        await run.tables.execute("DELETE FROM baton.workflow_deleted_jobs")
        bulk = await run.engine.workflows("failed").retry()
        assert counts(bulk) == ("finished", 3, 2, 0, 1)
        (failure,) = bulk.failures
        assert failure.workflow_id == flows[1].workflow_id
        assert "were deleted" in failure.error


async def started(run: Run, chosen: dict[str, Any] | None = None) -> UUID:
    """An operation that was written down, and whose process then died."""
    with pytest.raises(KeyError) as died:
        await run.engine.workflows(**(chosen or {"state": "failed"})).retry("all", progress=dying)
    bulk_id: UUID = died.value.args[0]
    return bulk_id


async def test_what_has_left_the_state_is_passed_by(dsn: str) -> None:
    async with running(dsn) as run:
        newest, oldest = reversed(await failed(run.engine, 2))
        bulk_id = await started(run)
        parts = run.engine._parts  # pyright: ignore[reportPrivateUsage]

        async def meddling(workflow_id: UUID, *rest: Any) -> None:
            if workflow_id == newest.workflow_id:
                await oldest.handle().retry(args={"a": {"well": True}})
                await oldest.handle().completion(timeout=30)
            await act(parts, workflow_id, *rest)

        bulk = await walking.walk(store_of(run.engine), bulk_id, meddling, None)
        assert counts(bulk) == ("finished", 2, 1, 1, 0)
        assert (await oldest.handle().completion()).run == 2


async def test_what_came_later_is_left_alone(dsn: str) -> None:
    async with running(dsn) as run:
        await failed(run.engine, 1)
        bulk_id = await started(run)
        await failed(run.engine, 1)
        assert counts(await run.engine.resume_bulk(bulk_id)) == ("finished", 1, 1, 0, 0)


async def test_two_processes_at_one_operation(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "BATCH", 7)
    async with running(dsn) as run, Engine(dsn, name="second") as second:
        flows = await failed(run.engine, 40)
        bulk_id = await started(run)
        ends = await asyncio.gather(run.engine.resume_bulk(bulk_id), second.resume_bulk(bulk_id))
        assert {counts(bulk) for bulk in ends} == {("finished", 40, 40, 0, 0)}
        assert await acted(run.engine, ends[0]) == {flow.workflow_id: 1 for flow in flows}


async def test_an_outage_stops_it_and_it_goes_on(dsn: str) -> None:
    async with running(dsn) as run:
        await failed(run.engine, 3)
        bulk_id = await started(run)
        parts = run.engine._parts  # pyright: ignore[reportPrivateUsage]
        calls = iter((True, False, True))

        async def failing(*given: Any) -> None:
            await act(parts, *given)
            if not next(calls):
                raise UnavailableError("gone")

        with pytest.raises(BulkStoppedError, match="gone") as stopped:
            await walking.walk(store_of(run.engine), bulk_id, failing, None)
        assert stopped.value.bulk_id == bulk_id
        bulk = await run.engine.resume_bulk(bulk_id)
        assert counts(bulk) == ("finished", 3, 3, 0, 0)
        assert set((await acted(run.engine, bulk)).values()) == {1}


async def test_a_process_that_is_killed_again_and_again(dsn: str) -> None:
    async with Engine(dsn, queues={"default": 20}) as engine:
        await insert_all([one() for _ in range(MANY)], engine=engine)

        async def all_failed() -> bool:
            return await engine.workflows("failed").count() == MANY

        await eventually(all_failed, 40 + MANY / 20)
    async with Engine(dsn) as engine:
        die = partial(killed, dsn, engine)
        bulk = await die("progress", 1)
        assert counts(bulk) == ("running", MANY, 0, 0, 0)
        for place, number in (
            ("progress", 2),
            ("action", 1),
            ("action", 37),
            ("action", 62),
            ("progress", 2),
            ("action", 99),
        ):
            bulk = await die(place, number, str(bulk.bulk_id))
            assert bulk.state == "running"
        bulk = await engine.resume_bulk(bulk.bulk_id)
        assert counts(bulk) == ("finished", MANY, MANY, 0, 0)
        rows = await store_of(engine).fetch("count_queues")
        assert [(row["queue"], row["available"]) for row in rows] == [("default", MANY)]
        if MANY <= 1_000:
            found = await acted(engine, bulk)
            assert (len(found), set(found.values())) == (MANY, {1})
        (newest, *_) = await engine.insights.workflows(limit=1)
        assert [row.run for row in await engine.insights.actions(newest.workflow_id)] == [2]


async def killed(dsn: str, engine: Engine, place: str, number: int, bulk_id: str = "") -> Bulk:
    """The operation after a process has begun it, or gone on with it, and was killed at a place."""
    async with program(PROGRAM, dsn, place, str(number), bulk_id) as process:
        async with asyncio.timeout(50):
            assert await process.wait() == -9, (place, number)
    (found,) = await engine.insights.bulks()
    return found


async def test_tags_and_attributes(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "BATCH", 2)
    async with running(dsn) as run:
        acme: dict[str, Any] = {"tenant": "acme", "deep": {"n": [1, 2]}}
        hit = [Baton(tags=["eu", "b"], attributes=acme | {"i": i}) for i in range(5)]
        missed = [
            Baton(),
            Baton(tags=["eu"], attributes={"tenant": "other"}),
            Baton(attributes=acme),
            Baton(tags=["eu"]),
        ]
        flows = [flow.add("a", fails.new()) for flow in (*hit, *missed)]
        await insert_all(flows)
        for flow in flows:
            await flow.handle().completion(timeout=30)
        # An iterator is read once, and what the caller changes afterwards changes nothing.
        asked: dict[str, Any] = {"tenant": "acme", "deep": {"n": [2]}}
        chosen = run.engine.workflows("failed", tags=iter(["eu", "eu"]), attributes=asked)
        asked["deep"]["n"].append(3)
        assert await chosen.count() == 5
        bulk = await chosen.retry("all")
        assert counts(bulk) == ("finished", 5, 5, 0, 0)
        assert await acted(run.engine, bulk) == {flow.workflow_id: 1 for flow in hit}
        assert (bulk.filter["tags"], bulk.filter["attributes"]) == (
            ["eu"],
            {"tenant": "acme", "deep": {"n": [2]}},
        )


@pytest.mark.parametrize("found_by", [{"tags": ["eu"]}, {"attributes": {"tenant": "acme"}}])
async def test_what_goes_on_keeps_to_its_tags_and_attributes(
    dsn: str, monkeypatch: pytest.MonkeyPatch, found_by: dict[str, Any]
) -> None:
    """Also where so few have them that their index is asked."""
    monkeypatch.setattr(walking, "BATCH", 2)
    monkeypatch.setattr(looking, "MOST_LOOKED_AT", 3)
    async with running(dsn) as run:
        flows = [Baton(**(found_by if i % 4 == 0 else {})) for i in range(12)]
        await insert_all([flow.wait("gate", any_of=["go"]) for flow in flows])
        chosen = run.engine.workflows(**found_by)
        assert await chosen.count() == 3
        with pytest.raises(KeyError):
            await chosen.cancel(progress=dying)
        (begun,) = await run.engine.insights.bulks()
        assert counts(begun) == ("running", 3, 0, 0, 0)
        bulk = await run.engine.resume_bulk(begun.bulk_id)
        assert counts(bulk) == ("finished", 3, 3, 0, 0)
        assert await acted(run.engine, bulk) == {flow.workflow_id: 1 for flow in flows[::4]}


def dying(bulk: Bulk) -> None:
    raise KeyError(bulk.bulk_id)


async def test_what_is_no_filter_and_no_operation(dsn: str) -> None:
    async with running(dsn) as run:
        with pytest.raises(InvalidOptionError, match="at least one of state"):
            await run.engine.workflows().cancel()
        with pytest.raises(InvalidOptionError, match="state='some'"):
            await run.engine.workflows("some").retry()
        with pytest.raises(InvalidNameError):
            await run.engine.workflows(workflow_name="").count()
        with pytest.raises(InvalidOptionError, match="aware"):
            await run.engine.workflows(since=datetime(2026, 1, 1)).count()  # noqa: DTZ001
        nothing: list[dict[str, Any]] = [{"tags": []}, {"attributes": {}}]
        for found_by in nothing:
            with pytest.raises(InvalidOptionError, match=r"one of state.*tags, attributes"):
                await run.engine.workflows(**found_by).pause()
        with pytest.raises(InvalidOptionError, match=r"tags=\['eu'\]"):
            run.engine.workflows(tags="eu")
        with pytest.raises(InvalidOptionError, match="'tenant': 'acme'"):
            run.engine.workflows(attributes=["tenant"])  # type: ignore[arg-type]
        with pytest.raises(InvalidOptionError, match="mode="):
            await run.engine.workflows("failed").retry("some")
        with pytest.raises(UnknownBulkError):
            await run.engine.resume_bulk(uuid4())
        with pytest.raises(InvalidArgumentError):
            await run.engine.resume_bulk("x")
        assert (await run.engine.insights.bulks()).rows == ()
