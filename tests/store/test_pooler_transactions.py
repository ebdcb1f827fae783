"""Steps' own transactions through a pooler that lends any session to each transaction."""

from __future__ import annotations

from sqlalchemy import text

from baton import Baton, Step
from support.effects import TABLE, WRITE, job_of
from support.pooling import pooled
from support.running import fast, opened


async def plain(step: Step) -> int:
    async with step.transaction() as conn:
        await conn.execute(WRITE, f"{step.name}")
        found: int = await conn.fetchval("SELECT count(*) FROM public.effects WHERE id > $1", 0)
    return found


async def session(step: Step) -> None:
    async with step.session() as made:
        insert = text("INSERT INTO public.effects (who) VALUES (:who)")
        await made.execute(insert, {"who": str(step.name)})
        await made.execute(insert, {"who": str(step.name)})


async def fails_once(step: Step) -> None:
    async with step.transaction() as conn:
        await conn.execute(WRITE, f"{step.name}")
        if step.attempt == 1:
            await conn.execute("SELECT 1/0")


async def test_each_step_writes_once(dsn: str) -> None:
    async with pooled(dsn) as pooler, opened(dsn) as tables:
        await tables.execute(TABLE)
        async with fast(pooler.dsn, poll_interval=0.02, transactions=4) as engine:
            workflow = Baton()
            for number in range(8):
                workflow.add(f"p{number}", job_of(plain))
                workflow.add(f"s{number}", job_of(session))
                workflow.add(f"f{number}", job_of(fails_once))
            await workflow.insert(engine=engine)
            completion = await engine.workflow(workflow.workflow_id).completion(timeout=30)
            assert completion.outcome == "completed"
        rows = await tables.rows("SELECT who, count(*) AS n FROM public.effects GROUP BY who")
        assert {row["who"]: row["n"] for row in rows} == {
            name: 2 if name.startswith("s") else 1 for name in workflow.step_names
        }
        assert await tables.violations() == []
