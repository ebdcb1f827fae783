"""A step's own transaction: what it writes, its result and what follows are one commit, or none."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from baton import Baton, Cancel, Discard, Skip, Snooze, Step, SyncStep, worker
from baton.errors import StepTransactionError
from baton.words.events import StepCompleted, StepRetryable, WorkflowFinished, WorkflowGrown
from support.effects import WRITE, acting, after, effects, job_of, with_effects
from support.running import Run
from support.waiting import eventually


@worker(name="tx.plain", max_attempts=1)
def plain(step: SyncStep) -> None:
    with step.transaction():  # type: ignore[attr-defined]  # pyright: ignore
        pass


async def write(step: Step) -> int:
    async with step.transaction() as conn:
        await conn.execute(WRITE, "a")
        found: int = await conn.fetchval("SELECT count(*) FROM public.effects")
        return found


async def test_one_commit(dsn: str) -> None:
    """The rows and the step have the same transaction, and so has the completion."""

    async def single(step: Step) -> str:
        async with step.transaction() as conn:
            await conn.execute(WRITE, step.name)
        return "done"

    async with with_effects(dsn) as run:
        workflow = Baton(workflow_name="one").add("only", job_of(single))
        completion = await run.completed(workflow)
        assert completion.outcome == "completed"
        (row,) = await run.tables.rows(
            "SELECT e.xmin = n.xmin AND n.xmin = c.xmin AND w.xmin = n.xmin AS one"
            " FROM public.effects e, baton.workflow_nodes n, baton.workflow_completions c,"
            " baton.workflows w"
        )
        assert row["one"]
        assert len(run.events.of(StepCompleted, step="only", has_result=True)) == 1
        assert len(run.events.of(WorkflowFinished)) == 1


async def test_nothing_is_seen_before_the_end(dsn: str) -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def waiting(step: Step) -> int:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        reached.set()
        await go.wait()
        return 1

    async with with_effects(dsn) as run:
        workflow = acting(waiting)
        await run.insert(workflow)
        await reached.wait()
        assert await effects(run) == []
        go.set()
        await run.end(workflow)
        assert await effects(run) == ["a"]
        assert await run.engine.workflow(workflow.workflow_id).result("b") == {"a": 1}


async def test_a_job_outside_workflows(dsn: str) -> None:
    async with with_effects(dsn) as run:
        body = job_of(write).args
        job_id = await run.tables.value(
            "INSERT INTO baton.oban_jobs (worker, args, state, queue)"
            " VALUES ($1, $2::jsonb, 'available', 'default') RETURNING id",
            "effects.act",
            body,
        )
        run.engine.queue("default").pause()
        run.engine.queue("default").resume()
        await run.events.until(StepCompleted, job_id=job_id)
        assert await effects(run) == ["a"]


REQUESTS: dict[str, Any] = {
    "cancel": Cancel("no"),
    "discard": Discard("no"),
    "skip": Skip("no"),
    "error": RuntimeError("no"),
}


@pytest.mark.parametrize("raised", [False, True])
@pytest.mark.parametrize("kind", [*REQUESTS, "snooze"])
async def test_other_outcomes_roll_back(dsn: str, kind: str, raised: bool) -> None:
    attempts: list[int] = []
    asked = REQUESTS.get(kind, Snooze(timedelta(0)))

    async def other(step: Step) -> Any:
        async with step.transaction() as conn:
            await conn.execute(WRITE, f"{len(attempts)}")
        attempts.append(step.attempt)
        if len(attempts) == 1:
            if raised or isinstance(asked, RuntimeError):
                raise asked
            return asked
        return 1

    async with with_effects(dsn) as run:
        await run.workflow(acting(other))
        again = kind in ("error", "snooze")
        assert await effects(run) == (["1"] if again else [])
        assert len(attempts) == (2 if again else 1)


async def test_a_value_that_cannot_be_stored(dsn: str) -> None:
    async def unstorable(step: Step) -> object:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        return object()

    async with with_effects(dsn) as run:
        await run.workflow(acting(unstorable))
        assert await effects(run) == []


async def test_a_wait_rolls_back_and_the_body_runs_again(dsn: str) -> None:
    async def sleeping(step: Step) -> int:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
            await step.sleep(0.05)
        return 1

    async with with_effects(dsn) as run:
        await run.workflow(acting(sleeping))
        assert await effects(run) == ["a"]


async def test_a_timeout_rolls_back(dsn: str) -> None:
    async def slow(step: Step) -> int:
        async with step.transaction() as conn:
            await conn.execute(WRITE, f"{step.attempt}")
            if step.attempt == 1:
                await conn.execute("SELECT pg_sleep(30)")
        return 1

    async with with_effects(dsn) as run:
        await run.workflow(acting(slow, timeout=0.3))
        assert await effects(run) == ["2"]
        (failed,) = run.events.of(StepRetryable)
        assert "timeout" in (failed.error or "")


async def test_a_stop_interrupts_and_rolls_back(dsn: str) -> None:
    reached = asyncio.Event()

    async def hanging(step: Step) -> int:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        reached.set()
        await asyncio.Event().wait()
        return 1

    workflow = acting(hanging)
    async with with_effects(dsn, shutdown_grace=0.0) as run:
        await run.insert(workflow)
        await reached.wait()
        await run.engine.stop()
        assert await effects(run) == []
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.attempt) == ("available", 0)
        assert await run.tables.unconnected()


async def failing(run: Run, body: Any) -> str:
    """The error that discards a step with this body and a single attempt."""
    workflow = acting(body, max_attempts=1)
    await run.workflow(workflow)
    row = await run.tables.step(workflow, "a")
    assert row.state == "discarded"
    return row.error or ""


async def test_a_second_transaction_is_refused(dsn: str) -> None:
    async def twice(step: Step) -> None:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        async with step.transaction() as conn:
            await conn.execute(WRITE, "b")

    async def at_once(step: Step) -> None:
        async def one() -> None:
            async with step.transaction() as conn:
                await conn.execute(WRITE, "a")

        await asyncio.gather(one(), one())

    async def after_a_failure(step: Step) -> None:
        with pytest.raises(RuntimeError):
            async with step.transaction():
                raise RuntimeError
        async with step.transaction():
            pass

    async with with_effects(dsn) as run:
        for body in (twice, at_once, after_a_failure):
            assert "at most one" in await failing(run, body)
        assert await effects(run) == []


async def test_no_statement_after_the_block(dsn: str) -> None:
    async def late(step: Step) -> None:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        for name in ("execute", "fetchval", "transaction", "prepare", "is_closed"):
            with pytest.raises(StepTransactionError, match="statements belong into its block"):
                getattr(conn, name)
        await conn.execute(WRITE, "b")

    async with with_effects(dsn) as run:
        assert "StepTransactionError" in await failing(run, late)
        assert await effects(run) == []


async def test_what_ends_it_by_hand_is_told(dsn: str) -> None:
    async def commit(step: Step) -> None:
        async with step.transaction() as conn:
            await conn.execute("COMMIT")
            await conn.execute(WRITE, "own")

    async def begin_again(step: Step) -> None:
        async with step.transaction() as conn:
            await conn.execute("ROLLBACK; BEGIN")
            await conn.execute(WRITE, "mine")

    async def swallow(step: Step) -> None:
        async with step.transaction() as conn:
            with pytest.raises(asyncpg.PostgresError):
                await conn.execute("SELECT 1/0")

    async def left_open(step: Step) -> None:
        block = open_blocks.setdefault(step.job_id, step.transaction())
        conn = await block.__aenter__()
        await conn.execute(WRITE, "open")

    open_blocks: dict[int, Any] = {}
    async with with_effects(dsn) as run:
        assert "was ended in its block" in await failing(run, commit)
        assert "was ended in its block" in await failing(run, begin_again)
        assert "passed over" in await failing(run, swallow)
        assert "still open" in await failing(run, left_open)
        # What somebody commits by hand is committed.
        assert await effects(run) == ["own"]


async def test_without_its_transaction_a_step_goes_on(dsn: str) -> None:
    async def goes_on(step: Step) -> int:
        try:
            async with step.transaction() as conn:
                await conn.execute(WRITE, "a")
                await conn.execute("SELECT 1/0")
        except asyncpg.PostgresError:
            return 7
        return 0

    async with with_effects(dsn) as run:
        workflow = acting(goes_on)
        await run.completed(workflow)
        assert await effects(run) == []


async def test_a_plain_step_is_told(dsn: str) -> None:
    async with with_effects(dsn) as run:
        workflow = Baton().add("a", plain.new())
        await run.workflow(workflow)
        error = (await run.tables.step(workflow, "a")).error or ""
        assert "needs 'async def perform'" in error


async def test_the_steps_that_it_adds_are_in_the_same_commit(dsn: str) -> None:
    async def adds(step: Step) -> int:
        step.add("new", after.new())
        step.add("next", after.new(), deps=["new"], before=["b"])
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        return 1

    async with with_effects(dsn) as run:
        workflow = acting(adds)
        completion = await run.completed(workflow)
        assert (completion.outcome, completion.total_count) == ("completed", 4)
        assert set(await run.engine.workflow(workflow.workflow_id).result("b")) == {"a", "next"}
        (grown,) = run.events.of(WorkflowGrown)
        assert (grown.step, grown.added_count) == ("a", 2)
        assert await run.tables.value(
            "SELECT e.xmin = j.xmin FROM public.effects e, baton.oban_jobs j"
            " WHERE j.meta ->> 'workflow_name' = 'a'"
        )


async def test_steps_that_do_not_fit_undo_all(dsn: str) -> None:
    async def adds(step: Step) -> None:
        async with step.transaction() as conn:
            await conn.execute(WRITE, "a")
        step.add("new", after.new(), deps=["nobody"])

    async with with_effects(dsn) as run:
        workflow = acting(adds, max_attempts=5)
        await run.workflow(workflow)
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.attempt) == ("discarded", 1)
        assert "step 'new' depends on 'nobody'" in row.error
        assert await effects(run) == []
        assert run.events.of(WorkflowGrown) == []


async def test_deferred_constraints_are_checked_in_the_block(dsn: str) -> None:
    async def deferred(step: Step) -> str:
        try:
            async with step.transaction() as conn:
                await conn.execute(
                    "CREATE TABLE IF NOT EXISTS public.twice"
                    " (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
                )
                await conn.execute("INSERT INTO public.twice VALUES (1), (1)")
        except asyncpg.UniqueViolationError:
            return "caught"
        return "not seen"

    async with with_effects(dsn) as run:
        workflow = acting(deferred)
        await run.completed(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("a") == "caught"


async def test_a_workflow_inserted_in_it_is_part_of_it(dsn: str) -> None:
    child = Baton(workflow_name="child").add("only", job_of(write))

    async def parent(step: Step) -> int:
        async with step.transaction() as conn:
            if step.attempt == 1:
                await child.insert(conn=conn)
                raise RuntimeError("no")
            await child.insert(conn=conn)
        return 1

    async with with_effects(dsn) as run:
        await run.workflow(acting(parent))

        async def ended() -> bool:
            return await effects(run) == ["a"]

        await eventually(ended)
        await run.end(child)
