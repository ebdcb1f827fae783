"""How long an engine may be silent: the longer of its own word and the rescuer's."""

from __future__ import annotations

from uuid import UUID, uuid4

from baton import Baton, Database, Engine, Step, worker
from baton.store.jobs import find_orphans


@worker
async def works(step: Step) -> None:
    return None


async def orphans(database: Database, rescue_after: float) -> set[str | None]:
    found = await find_orphans(
        database,
        rescue_after=rescue_after,
        engine=uuid4(),
        known=[],
        lost_after=60,
        foreign_after=None,
        after=0,
        limit=10,
    )
    return {orphan.engine for orphan in found}


async def claim(database: Database, job_id: int, engine: UUID, rescue_after: float) -> None:
    await database.fetch("beat_engine", str(engine), "other", "node", rescue_after)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE public.oban_jobs SET state = 'executing', attempt = 1,"
            " attempted_at = timezone('UTC', now()), attempted_by = ARRAY['node', $2, 'baton']"
            " WHERE id = $1",
            job_id,
            str(engine),
        )
        await connection.execute(
            "UPDATE public.baton_engines SET seen_at = now() - interval '5 seconds' WHERE id = $1",
            engine,
        )


async def test_an_engine_that_may_be_silent_for_longer_is_left_alone(dsn: str) -> None:
    patient, hasty = uuid4(), uuid4()
    async with Engine(dsn) as client:
        jobs = await Baton().add("a", works.new()).add("b", works.new()).insert(client)
        await claim(client.database, jobs[0].id, patient, 60.0)
        await claim(client.database, jobs[1].id, hasty, 1.0)
        assert await orphans(client.database, 3.0) == {str(hasty)}
        assert await orphans(client.database, 30.0) == set()
        async with client.database.connection() as connection:
            await connection.execute(
                "UPDATE public.baton_engines SET seen_at = now() - interval '61 seconds'"
            )
        assert await orphans(client.database, 3.0) == {str(patient), str(hasty)}
