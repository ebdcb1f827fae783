"""How long an engine may be silent: the longer of its own word and the rescuer's."""

from __future__ import annotations

from uuid import UUID, uuid4

from baton import Baton, Engine, Step, worker
from baton.store.jobs import find_orphans
from baton.store.store import Store, store_of
from support.running import beat, beating


@worker
async def works(step: Step) -> None:
    return None


async def orphans(
    database: Store, rescue_after: float, engine: UUID | None = None
) -> set[str | None]:
    if engine is None:
        engine = uuid4()
        await beating(database, engine)
    found = await find_orphans(
        database,
        rescue_after=rescue_after,
        engine=engine,
        known=[],
        lost_after=60,
        foreign_after=None,
        after=0,
        limit=10,
    )
    return {orphan.engine for orphan in found}


async def claim(database: Store, job_id: int, engine: UUID, rescue_after: float) -> None:
    await beat(database, engine, rescue_after)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE baton.oban_jobs SET state = 'executing', attempt = 1,"
            " attempted_at = timezone('UTC', now()), attempted_by = ARRAY['node', $2, 'baton']"
            " WHERE id = $1",
            job_id,
            str(engine),
        )
        await connection.execute(
            "UPDATE baton.baton_engines SET seen_at = now() - interval '5 seconds' WHERE id = $1",
            engine,
        )


async def test_an_engine_that_may_be_silent_for_longer_is_left_alone(dsn: str) -> None:
    patient, hasty = uuid4(), uuid4()
    async with Engine(dsn) as client:
        jobs = await Baton().add("a", works.new()).add("b", works.new()).insert(engine=client)
        await claim(store_of(client), jobs[0].id, patient, 60.0)
        await claim(store_of(client), jobs[1].id, hasty, 1.0)
        assert await orphans(store_of(client), 3.0) == {str(hasty)}
        assert await orphans(store_of(client), 30.0) == set()
        async with store_of(client).connection() as connection:
            await connection.execute(
                "UPDATE baton.baton_engines SET seen_at = now() - interval '61 seconds'"
            )
        assert await orphans(store_of(client), 3.0) == {str(patient), str(hasty)}


async def test_after_an_outage_nobody_is_dead_at_first(dsn: str) -> None:
    """The database was away for longer than every engine's patience. The first engine that beats
    again finds all others silent, and they live.
    """
    first, other = uuid4(), uuid4()
    async with Engine(dsn) as client:
        database = store_of(client)
        (job,) = await Baton().add("a", works.new()).insert(engine=client)
        await claim(database, job.id, other, 6.0)
        await beating(database, first, rescue_after=6.0)
        async with database.connection() as connection:

            async def shift(column: str, seconds: float, engine: UUID) -> None:
                await connection.execute(
                    f"UPDATE baton.baton_engines SET {column} = now() - interval '1 second' * $1"
                    " WHERE id = $2",
                    seconds,
                    engine,
                )

            await shift("seen_at", 3600, first)
            await shift("seen_at", 3600, other)
            # Its own last beat is from before the outage.
            assert await orphans(database, 6.0, first) == set()
            await beat(database, first, 6.0)
            assert await orphans(database, 6.0, first) == set()
            await shift("steady_since", 5.5, first)
            assert await orphans(database, 6.0, first) == set()
            await shift("steady_since", 6.5, first)
            await shift("seen_at", 1, first)
            # A beat without a gap keeps what has been reached.
            await beat(database, first, 6.0)
            assert await orphans(database, 6.0, first) == {str(other)}
            await connection.execute(
                "UPDATE baton.baton_engines SET rescue_after = 7 WHERE id = $1", other
            )
            assert await orphans(database, 6.0, first) == set()
            await beat(database, other, 6.0)
            await shift("steady_since", 3600, first)
            assert await orphans(database, 6.0, first) == set()
