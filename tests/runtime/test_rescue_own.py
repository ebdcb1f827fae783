"""Whom a rescuer may call dead: not the steps it knows itself, and nobody before it has been steady
for as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from baton import Baton, Engine, Step, worker
from baton.runtime.rescue import OwnJobs, Rescuer
from baton.store.jobs import find_orphans
from baton.store.store import Store, store_of
from baton.words.config import EngineSettings
from races.rescuing import ledger
from support.inserting import Connection
from support.running import beat, beating

RESCUE_AFTER = 10.0


@worker(name="tests.rescue_own")
async def works(step: Step) -> None:
    return None


async def executing(client: Engine, db: Connection, engine: UUID) -> int:
    """A job that the engine claimed an hour ago."""
    (job,) = await Baton().add("a", works.new()).insert(engine=client)
    await db.execute(
        "UPDATE baton.oban_jobs SET state = 'executing', attempt = 1, "
        "attempted_at = timezone('UTC', now()) - interval '1 hour', "
        "attempted_by = ARRAY['node', $2, 'baton'] WHERE id = $1",
        job.id,
        str(engine),
    )
    return job.id


@pytest.mark.parametrize("known", [True, False])
async def test_a_long_step_of_its_own_is_left_alone(dsn: str, db: Connection, known: bool) -> None:
    """However long ago it was claimed; one that it does not know was claimed in a lost reply."""
    settings, own = EngineSettings(command_timeout=1.0), uuid4()
    async with Engine(dsn) as client, ledger(store_of(client)) as books:
        job_id = await executing(client, db, own)
        await beating(store_of(client), own)
        told: list[None] = []
        jobs = SimpleNamespace(
            known_ids=[job_id] if known else [],
            claims=[],
            interrupt_claims=lambda _: 0,
            wake=lambda: told.append(None),
        )
        rescuer = Rescuer(store_of(client), settings, own, books, cast(OwnJobs, jobs))
        for _ in range(3):
            await rescuer.rescue()
        row = await db.fetchrow(
            "SELECT state::text, attempt FROM baton.oban_jobs WHERE id = $1", job_id
        )
    assert tuple(cast(Any, row)) == (("executing", 1) if known else ("available", 0))
    assert bool(told) is not known


async def orphans(database: Store, engine: UUID) -> Sequence[int]:
    found = await find_orphans(
        database,
        rescue_after=RESCUE_AFTER,
        engine=engine,
        known=[],
        lost_after=60,
        foreign_after=None,
        after=0,
        limit=10,
    )
    return [orphan.id for orphan in found]


async def beats(db: Connection, engine: UUID, *, last: float, steady: float) -> None:
    """Say when an engine beat last, and since when it has been steady, in seconds ago."""
    await db.execute(
        "UPDATE baton.baton_engines SET seen_at = now() - make_interval(secs => $2), "
        "steady_since = now() - make_interval(secs => $3) WHERE id = $1",
        engine,
        last,
        steady,
    )


@pytest.mark.parametrize(
    ("last", "steady", "judges"),
    [
        (0.0, 3600.0, True),
        (RESCUE_AFTER * 0.4, 3600.0, True),
        # Its own silence is as long as a part of the one it judges: it may have been away itself.
        (RESCUE_AFTER * 0.6, 3600.0, False),
        (RESCUE_AFTER * 2, 3600.0, False),
        (0.0, RESCUE_AFTER * 1.1, True),
        (0.0, RESCUE_AFTER * 0.9, False),
    ],
)
async def test_only_a_steady_engine_calls_another_dead(
    dsn: str, db: Connection, last: float, steady: float, judges: bool
) -> None:
    asking = uuid4()
    async with Engine(dsn) as client:
        job_id = await executing(client, db, uuid4())
        await beat(store_of(client), asking, RESCUE_AFTER)
        await beats(db, asking, last=last, steady=steady)
        assert await orphans(store_of(client), asking) == ([job_id] if judges else [])


@pytest.mark.parametrize(
    ("silence", "kept"), [(RESCUE_AFTER * 0.4, True), (RESCUE_AFTER * 0.6, False), (3600.0, False)]
)
async def test_a_beat_after_a_long_silence_begins_anew(
    dsn: str, db: Connection, silence: float, kept: bool
) -> None:
    engine = uuid4()
    look = "SELECT steady_since FROM baton.baton_engines WHERE id = $1"
    async with Engine(dsn) as client:
        await beat(store_of(client), engine, RESCUE_AFTER)
        await beats(db, engine, last=silence, steady=7200.0)
        before: datetime = await db.fetchval(look, engine)
        await beat(store_of(client), engine, RESCUE_AFTER)
        after: datetime = await db.fetchval(look, engine)
        assert (after == before) is kept
        job_id = await executing(client, db, uuid4())
        assert await orphans(store_of(client), engine) == ([job_id] if kept else [])


async def test_an_engine_that_begins_calls_nobody_dead(dsn: str, db: Connection) -> None:
    engine = uuid4()
    async with Engine(dsn) as client:
        await executing(client, db, uuid4())
        await beat(store_of(client), engine, RESCUE_AFTER)
        assert await orphans(store_of(client), engine) == []
