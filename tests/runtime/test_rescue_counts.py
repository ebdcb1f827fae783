"""What a rescuer writes and tells: every orphan once, none that was not written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from uuid import uuid4

import pytest

from baton import Baton, Engine, Step, worker
from baton.runtime import rescue as rescues
from baton.runtime.ledger_protocol import Reply
from baton.runtime.rescue import Rescuer
from baton.store.store import store_of
from baton.sweep.without_engine import NoJobs
from baton.words.config import EngineSettings
from baton.words.events import JobsRescued, StepDiscarded
from baton.words.rows import Demand, Outcome
from races.rescuing import ledger
from support.inserting import Connection
from support.running import beating, recorded
from support.waiting import DEADLINE

MOST = 3


@worker(name="tests.rescue_counts")
async def works(step: Step) -> None:
    return None


class Wakes(NoJobs):
    """No jobs, and the wakes are counted."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


async def orphaned(client: Engine, db: Connection, count: int, rescues: int = 0) -> list[int]:
    """Jobs of an engine that never beat, rescued as often before."""
    workflow = Baton()
    for number in range(count):
        workflow.add(f"s{number}", works.new())
    jobs = await workflow.insert(engine=client)
    await db.execute(
        "UPDATE baton.oban_jobs SET state = 'executing', attempt = 1, "
        "attempted_at = timezone('UTC', now()) - interval '1 hour', "
        "attempted_by = ARRAY['node', $2, 'baton'], errors = (SELECT "
        'coalesce(jsonb_agg(\'{"rescued": true, "error": ""}\'::jsonb), \'[]\') '
        "FROM generate_series(1, $3)) WHERE id = ANY ($1::bigint[])",
        [job.id for job in jobs],
        str(uuid4()),
        rescues,
    )
    return [job.id for job in jobs]


async def states(db: Connection) -> list[tuple[str, int]]:
    rows = await db.fetch("SELECT state::text, attempt FROM baton.oban_jobs ORDER BY id")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("rescues", "state"),
    [(0, ("available", 0)), (MOST - 1, ("available", 0)), (MOST, ("discarded", 1))],
)
async def test_a_job_is_rescued_as_often_as_is_allowed(
    dsn: str, db: Connection, rescues: int, state: tuple[str, int]
) -> None:
    settings, engine = EngineSettings(max_rescues=MOST), uuid4()
    async with Engine(dsn) as client, ledger(store_of(client)) as books:
        await orphaned(client, db, 1, rescues)
        await beating(store_of(client), engine)
        with recorded() as told:
            await Rescuer(store_of(client), settings, engine, books, Wakes()).rescue()
    assert await states(db) == [state]
    assert len(told.of(StepDiscarded)) == (state[0] == "discarded")
    assert len(told.of(JobsRescued)) == 1


async def test_one_pass_rescues_all_in_however_many_batches(
    dsn: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescues, "BATCH", 2)
    engine, wakes = uuid4(), Wakes()
    async with Engine(dsn) as client, ledger(store_of(client)) as books:
        job_ids = await orphaned(client, db, 5)
        await beating(store_of(client), engine)
        with recorded() as told:
            await Rescuer(store_of(client), EngineSettings(), engine, books, wakes).rescue()
    assert await states(db) == [("available", 0)] * 5
    rescued = [job_id for event in told.of(JobsRescued) for job_id in event.job_ids]
    assert sorted(rescued) == job_ids
    assert wakes.woken == 3


class Answers:
    """A ledger that writes nothing, for the reason that a test gives."""

    def __init__(self, which: str) -> None:
        self._which = which
        self.told = 0
        self.offered: list[int] = []

    async def settle(self, outcomes: Sequence[Outcome], demands: Sequence[Demand]) -> Reply:
        first = outcomes[0]
        self.offered += [outcome.job_id for outcome in outcomes]
        if self._which == "all":
            return Reply(blocked=frozenset(outcome.job_id for outcome in outcomes))
        if self._which == "stale":
            return Reply(stale=frozenset({(first.job_id, first.attempted_at)}), emit=self._emit)
        return Reply(blocked=frozenset({first.job_id}), emit=self._emit)

    def _emit(self) -> None:
        self.told += 1


@pytest.mark.parametrize("which", ["stale", "blocked"])
async def test_what_could_not_be_written_is_not_told_of(
    dsn: str, db: Connection, which: str
) -> None:
    """The job moved on, or somebody holds its lock: another pass looks again."""
    engine, books, wakes = uuid4(), Answers(which), Wakes()
    async with Engine(dsn) as client:
        first, second = await orphaned(client, db, 2)
        await beating(store_of(client), engine)
        with recorded() as told:
            rescuer = Rescuer(store_of(client), EngineSettings(), engine, cast(Any, books), wakes)
            await rescuer.rescue()
    assert first < second
    assert [event.job_ids for event in told.of(JobsRescued)] == [(second,)]
    assert books.told == 1
    assert wakes.woken == 1


async def test_what_cannot_be_written_hides_nothing_behind_it(
    dsn: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole batch of it: the pass goes on behind, and ends."""
    monkeypatch.setattr(rescues, "BATCH", 2)
    engine, books, wakes = uuid4(), Answers("all"), Wakes()
    async with Engine(dsn) as client, asyncio.timeout(DEADLINE):
        job_ids = await orphaned(client, db, 5)
        await beating(store_of(client), engine)
        with recorded() as told:
            rescuer = Rescuer(store_of(client), EngineSettings(), engine, cast(Any, books), wakes)
            await rescuer.rescue()
    assert books.offered == job_ids
    assert told.of(JobsRescued) == []
    assert wakes.woken == 0
