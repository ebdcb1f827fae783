"""What a retry meets when others were there before: keys, pruners, reused ids, skipped steps."""

from __future__ import annotations

from typing import Any

import pytest

from baton import Baton, Discard, Plugin, Skip, Snooze, Step, send_event, worker
from baton.errors import DeletedJobError, FailedDependencyError, UnknownWorkflowError
from support.running import Run, running
from support.waiting import eventually

broken: set[str] = set()


@pytest.fixture(autouse=True)
def fresh() -> None:
    broken.clear()


@worker(name="edges.works")
async def works(step: Step) -> Discard | None:
    return Discard("broken") if step.name in broken else None


@worker(name="edges.waits")
async def waits(step: Step) -> Any:
    got = await step.wait_for("x", replay_key="w")
    return Discard("broken") if step.name in broken else got


@worker(name="edges.skips")
async def skips(step: Step) -> Skip:
    return Skip("nothing new")


@pytest.mark.parametrize("verb", ["retry", "complete_step"])
async def test_what_came_by_a_key_before_the_wait_began_is_not_lost(dsn: str, verb: str) -> None:
    """The event was given to the dormant wait step: nobody else has it."""
    async with running(dsn):
        flow = Baton().wait("go", any_of=["go"]).add("a", works.new(), deps=["go"])
        flow.wait("w", any_of=["x"], deps=["a"], correlation_key="k")
        await flow.insert()
        await send_event(None, "x", 7, correlation_key="k", dedupe_id="d")
        broken.add("a")
        await flow.handle().send_event("go")
        assert (await flow.handle().completion(timeout=10)).outcome == "failed"
        broken.clear()
        if verb == "retry":
            await flow.handle().retry()
        else:
            await flow.handle().complete_step("a")
        assert (await flow.handle().completion(timeout=10)).outcome == "completed"
        assert (await flow.handle().result("w"))["events"] == {"x": 7}


async def test_an_event_by_a_key_that_a_wait_had_taken_may_be_sent_again(dsn: str) -> None:
    async with running(dsn):
        flow = Baton().wait("w", any_of=["x"], correlation_key="k")
        await flow.insert()
        handle = flow.handle()
        await send_event(None, "x", 1, correlation_key="k", dedupe_id="d")
        await handle.completion(timeout=10)
        await handle.retry("all")
        await send_event(None, "x", 2, correlation_key="k", dedupe_id="d")
        assert (await handle.completion(timeout=10)).run == 2
        assert (await handle.result("w"))["events"] == {"x": 2}


async def test_a_kept_wait_is_pruned_with_its_workflow(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", waits.new())
        broken.add("a")
        await flow.insert()
        await flow.handle().send_event("x", 1)
        await flow.handle().completion(timeout=10)
        broken.clear()
        await flow.handle().retry(keep_memos=True)
        assert (await flow.handle().completion(timeout=10)).outcome == "completed"
        await run.tables.execute("DELETE FROM baton.oban_jobs")
        for _ in range(2):
            await Plugin(prune=True).sweep(run.engine.database)
        for table in ("workflows", "workflow_nodes", "workflow_wait_groups"):
            assert await run.tables.value(f"SELECT count(*) FROM baton.{table}") == 0, table


async def test_a_step_below_skipped_ones_only_is_not_retried(dsn: str) -> None:
    async with running(dsn):
        flow = Baton().wait("w", any_of=["x"]).add("s", skips.new(), deps=["w"])
        flow.add("c", works.new(), deps=["s"])
        await flow.insert()
        handle = flow.handle()
        await handle.cancel_step("c")
        await handle.send_event("x")
        assert (await handle.completion(timeout=10)).skipped_steps == ("s",)
        with pytest.raises(FailedDependencyError, match="'s', which was skipped"):
            await handle.retry()


@worker(name="edges.later", backoff=3_600)
async def later(step: Step) -> Snooze | None:
    if step.name == "raises" and step.name in broken:
        raise ValueError("broken")
    return Snooze(3_600) if step.name in broken else None


@pytest.mark.parametrize("meanwhile", ["nothing", "pause", "resume", "cancel"])
async def test_what_was_put_off_begins_at_once(dsn: str, meanwhile: str) -> None:
    """After a failure or by itself, and wherever its job has gone since."""
    async with running(dsn) as run:
        flow = Baton().add("raises", later.new()).add("snoozes", later.new())
        flow.add("own", works.new(), schedule_in=3_600)
        broken.update(("raises", "snoozes"))
        await flow.insert()
        await run.tables.until(flow, "raises", "retryable")
        await run.tables.until(flow, "snoozes", "scheduled")
        broken.clear()
        handle = flow.handle()
        if meanwhile in ("pause", "resume"):
            await handle.pause()
        if meanwhile == "resume":
            await handle.resume()
        if meanwhile == "cancel":
            await handle.cancel()
        await handle.retry("all")
        if meanwhile == "pause":
            await handle.resume()
        await run.tables.until(flow, "raises", "completed")
        await run.tables.until(flow, "snoozes", "completed")
        own = await run.tables.step(flow, "own")
        assert (own.state, own.due_in > 3_000) == ("scheduled", True)
        await handle.cancel()


@pytest.mark.parametrize("verb", ["retry", "fork", "complete_step"])
async def test_a_workflow_that_is_pruned_in_part_is_gone(dsn: str, verb: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", works.new()).add("b", works.new(), deps=["a"])
        await _failed(run, flow, "b")
        await run.tables.execute("DELETE FROM baton.workflow_nodes WHERE name = 'a'")
        handle: Any = flow.handle()
        with pytest.raises(UnknownWorkflowError, match="any more"):
            await getattr(handle, verb)(*(["b"] if verb == "complete_step" else []))
        await run.tables.execute("DELETE FROM baton.workflow_completions")
        await run.tables.execute("DELETE FROM baton.workflow_nodes")
        await run.tables.execute("DELETE FROM baton.workflows")


@pytest.mark.parametrize("verb", ["retry", "complete_step"])
async def test_another_job_has_the_id(dsn: str, verb: str) -> None:
    async with running(dsn) as run:
        flow = Baton().add("a", works.new())
        await _failed(run, flow, "a")
        await run.tables.execute("UPDATE baton.oban_jobs SET meta = '{}'")
        handle: Any = flow.handle()
        with pytest.raises(DeletedJobError, match="'a'"):
            await getattr(handle, verb)(*(["a"] if verb == "complete_step" else []))
        assert await run.tables.value("SELECT count(*) FROM baton.baton_actions") == 0
        await run.tables.execute(
            "UPDATE baton.oban_jobs SET meta = jsonb_build_object('workflow_id', $1::uuid)",
            flow.workflow_id,
        )


async def test_another_job_has_the_id_of_an_open_step(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton().wait("w", any_of=["x"])
        await flow.insert()
        await run.tables.execute("UPDATE baton.oban_jobs SET meta = '{}'")
        with pytest.raises(DeletedJobError, match="'w'"):
            await flow.handle().complete_step("w")
        await run.tables.execute(
            "UPDATE baton.oban_jobs SET meta = jsonb_build_object('workflow_id', $1::uuid)",
            flow.workflow_id,
        )
        await flow.handle().cancel()


async def _failed(run: Run, flow: Baton, *names: str) -> None:
    broken.update(names)
    await run.workflow(flow)
    broken.clear()
    await eventually(lambda: _quiet(run))


async def _quiet(run: Run) -> bool:
    held = "SELECT count(*) FROM baton.oban_jobs WHERE state = 'executing'"
    return bool(await run.tables.value(held) == 0)
