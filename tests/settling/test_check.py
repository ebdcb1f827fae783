"""Another host runs the jobs and lets Baton keep the books: `check` and `announce`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from baton import Baton, JobState, Step, WorkflowOutcome, completion, worker
from baton.errors import InvalidArgumentError, NoEngineError
from baton.words.events import StepCancelled, WorkflowCancelled, WorkflowFailed, WorkflowFinished
from support.running import Run, running


@worker(queue="theirs")
async def theirs(step: Step) -> None:
    raise AssertionError("the other host performs it")


@worker
async def reads(step: Step) -> dict[str, Any]:
    return await step.results()


@dataclass
class TheirJob:
    id: int | None


CLAIM = """
UPDATE baton.oban_jobs
SET state = 'executing', attempt = attempt + 1, attempted_at = timezone('UTC', now()),
    attempted_by = '{their-node}'
WHERE id = $1 AND state = 'available'
RETURNING id
"""


async def claim(run: Run, workflow: Baton, name: str) -> int:
    """What Oban does when it takes a job; it is there to be taken."""
    row = await run.tables.step(workflow, name)
    job_id: int | None = await run.tables.value(CLAIM, row.id)
    assert job_id is not None, row
    return job_id


async def acknowledge(run: Run, workflow: Baton, name: str, state: str) -> None:
    await run.tables.change(workflow, name, state=f"'{state}'")


def diamond() -> Baton:
    return (
        Baton(workflow_name="driven")
        .add("a", theirs.new())
        .add("b", theirs.new(), deps=["a"])
        .add("c", theirs.new(), deps=["a"])
        .add("d", theirs.new(), deps=["b", "c"])
    )


async def test_a_workflow_driven_by_another_host(dsn: str) -> None:
    workflow = diamond()
    async with running(dsn, queues={}) as run:
        await run.insert(workflow)
        waiter = asyncio.create_task(run.end(workflow))
        for name in ("a", "b", "c", "d"):
            job = TheirJob(await claim(run, workflow, name))
            # Before the row's own state is written, and twice.
            outcome = await completion.check(job, "completed", result={"of": name})
            assert outcome is (WorkflowOutcome.COMPLETED if name == "d" else None)
            assert (await run.tables.step(workflow, name)).state == "executing"
            assert await completion.check(job, "completed", result="again") is None
            await acknowledge(run, workflow, name, "completed")
            assert await completion.check(job, JobState.COMPLETED) is None
        assert (await waiter).outcome is WorkflowOutcome.COMPLETED
        assert (await run.tables.step(workflow, "d")).result == {"of": "d"}
        assert (await run.tables.step(workflow, "c")).result == {"of": "c"}
        assert len(run.events.of(WorkflowFinished)) == 1
        assert await completion.announce(workflow.workflow_id) is None


@pytest.mark.parametrize("state", ["cancelled", "discarded"])
async def test_a_failure_of_another_host_cascades(dsn: str, state: str) -> None:
    workflow = diamond().add("e", theirs.new(), deps=["b"], ignore_cancelled=True)
    async with running(dsn, queues={}) as run:
        await run.insert(workflow)
        job = await claim(run, workflow, "a")
        assert await completion.check(job, state) is None
        assert await run.tables.states(workflow) == {
            "a": "executing",
            "b": "cancelled",
            "c": "cancelled",
            "d": "cancelled",
            "e": "available",
        }
        assert (await run.tables.step(workflow, "b")).error == f"dependency 'a' was {state}"
        assert {event.step for event in run.events.of(StepCancelled)} == {"b", "c", "d"}
        await acknowledge(run, workflow, "a", state)
        last = await claim(run, workflow, "e")
        outcome = await completion.check(last, "completed")
        assert outcome == ("failed" if state == "discarded" else "cancelled")
        await acknowledge(run, workflow, "e", "completed")
        end = await run.end(workflow)
        assert end.failed_steps == ("a", "b", "c", "d")
        told = WorkflowFailed if state == "discarded" else WorkflowCancelled
        assert len(run.events.of(told)) == 1
        assert len(run.events.of(StepCancelled)) == 3


async def test_many_checks_at_once_settle_once(dsn: str) -> None:
    async with running(dsn, queues={}, pool_size=20) as run:
        for _ in range(10):
            workflow = Baton().add("a", theirs.new()).add("b", theirs.new())
            workflow.add("join", theirs.new(), deps=["a", "b"])
            await run.insert(workflow)
            jobs = [await claim(run, workflow, name) for name in ("a", "b")]
            async with asyncio.TaskGroup() as group:
                for job in jobs * 5:
                    group.create_task(completion.check(job, "completed"))
            join = await claim(run, workflow, "join")
            tasks = [asyncio.create_task(completion.check(join, "completed")) for _ in range(10)]
            outcomes = await asyncio.gather(*tasks)
            assert sorted(outcomes, key=str) == [None] * 9 + [WorkflowOutcome.COMPLETED]
            for name in ("a", "b", "join"):
                await acknowledge(run, workflow, name, "completed")
            await run.end(workflow)
        assert len(run.events.of(WorkflowFinished)) == 10


async def test_a_step_of_theirs_releases_a_step_of_ours(dsn: str) -> None:
    workflow = Baton().add("theirs", theirs.new()).add("ours", reads.new(), deps=["theirs"])
    workflow.add("last", theirs.new(), deps=["ours"])
    async with running(dsn) as run:
        await run.insert(workflow)
        job = await claim(run, workflow, "theirs")
        await completion.check(job, "completed", result=[1])
        await acknowledge(run, workflow, "theirs", "completed")
        await run.tables.until(workflow, "last", "available")
        assert (await run.tables.step(workflow, "ours")).result == {"theirs": [1]}
        await completion.check(await claim(run, workflow, "last"), "completed")
        await acknowledge(run, workflow, "last", "completed")
        assert (await run.end(workflow)).outcome == "completed"


async def test_announce_is_claimed_once(dsn: str) -> None:
    workflow = Baton(workflow_name="label").add("a", theirs.new())
    async with running(dsn, queues={}) as run:
        await run.insert(workflow)
        assert await completion.announce(workflow.workflow_id) is None
        # Settled by somebody who died before the announcement.
        await run.tables.change(workflow, "a", state="'discarded'")
        await run.tables.execute("UPDATE baton.workflow_nodes SET state = 'discarded'")
        await run.tables.execute(
            "UPDATE baton.workflows SET outstanding = 0, failed = 1, finished_at = now()"
        )
        said = await asyncio.gather(
            *(completion.announce(str(workflow.workflow_id), "label") for _ in range(8))
        )
        assert sorted(said, key=str) == [None] * 7 + [WorkflowOutcome.FAILED]
        assert (await run.end(workflow)).failed_steps == ("a",)
        assert await completion.announce(uuid4()) is None
        assert len(run.events.of(WorkflowFinished)) == 1
        bad: Any = "nonsense"
        with pytest.raises(InvalidArgumentError, match="workflow_id"):
            await completion.announce(bad)


async def test_check_never_raises(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    async with running(dsn, queues={}) as run:
        workflow = Baton().add("a", theirs.new())
        await run.insert(workflow)
        job = await claim(run, workflow, "a")
        bad: list[tuple[Any, Any]] = [
            (job, "nonsense"),
            (job, "executing"),
            (job, JobState.RETRYABLE),
            (job, None),
            (job, 5),
            (TheirJob(None), "completed"),
            (None, "completed"),
            ("a job", "completed"),
            (2**63, "completed"),
            (True, "nonsense"),
        ]
        for given, state in bad:
            assert await completion.check(given, state) is None
        assert len(caplog.records) == len(bad)
        for result in (float("nan"), "\x00", object(), "x" * 2_000_000):
            assert await completion.check(job, "completed", result=result) is None
        assert len(caplog.records) == len(bad) + 4
        assert (await run.tables.step(workflow, "a")).settled is None
        # Jobs that are no steps are nobody's business.
        assert await completion.check(10**9, "completed") is None
        assert len(caplog.records) == len(bad) + 4
        assert await completion.check(job, "cancelled") is WorkflowOutcome.CANCELLED
        await acknowledge(run, workflow, "a", "cancelled")
        engine = run.engine
    assert await completion.check(job, "completed") is None
    assert await completion.check(job, "completed", engine=engine) is None
    assert await completion.check(job, "completed", engine="other") is None
    with pytest.raises(NoEngineError):
        await completion.announce(UUID(int=0))
