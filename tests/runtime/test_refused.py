"""What the database refuses to store is isolated: one bad outcome holds up nobody else."""

from __future__ import annotations

import pytest

from baton import Baton, Step, insert_all, worker
from baton.runtime import outbox
from baton.words.events import StepCompleted, StepDiscarded, StepExecuting, StepSettled
from baton.workers.registry import held_spec
from support.running import Tables, running

# What somebody's trigger, a constraint or a full numeric range does: an error that no retry mends.
REFUSE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no % today', OLD.{name};
END
$$;
CREATE TRIGGER refuse BEFORE UPDATE ON baton.{table} FOR EACH ROW WHEN ({when})
EXECUTE FUNCTION public.refuse();
"""


async def refuse(tables: Tables, table: str, name: str, when: str) -> None:
    await tables.execute(REFUSE.format(table=table, name=name, when=when))


@worker(max_attempts=3)
async def says(step: Step, *, word: str) -> str:
    return word


@worker
async def cursed(step: Step) -> str:
    return "never stored"


async def test_a_result_that_is_refused_is_discarded_alone(dsn: str) -> None:
    names = [str(number) for number in range(40)]
    async with running(dsn, queues={"default": 40}) as run:
        await refuse(run.tables, "workflow_nodes", "name", "NEW.result ->> 'value' = 'poison'")
        for _ in range(3):
            workflow = Baton()
            for name in names:
                workflow.add(name, says.new(word="poison" if name in ("7", "23") else "fine"))
            workflow.add("after", says.new(word="fine"), deps=["7"])
            end = await run.workflow(workflow)
            assert end.failed_steps == ("7", "23", "after")
            row = await run.tables.step(workflow, "7")
            assert (row.state, row.attempt, row.stored) == ("discarded", 1, False)
            assert "no 7 today" in row.error
            for name in names:
                if name not in ("7", "23"):
                    assert (await run.tables.step(workflow, name)).result == "fine"
        await run.events.until(StepDiscarded, 3 * 2)
        assert len(run.events.of(StepCompleted)) == 3 * 38
        assert len(run.events.of(StepDiscarded)) == 3 * 2


async def test_a_job_that_refuses_every_outcome_keeps_its_result(dsn: str) -> None:
    curse = Baton().add("a", cursed.new())
    good = [Baton().add("a", says.new(word="fine")) for _ in range(20)]
    async with running(
        dsn, queues={"default": 3}, command_timeout=0.4, rescue_interval=0.05, max_rescues=50
    ) as run:
        await refuse(
            run.tables,
            "oban_jobs",
            "worker",
            f"OLD.worker = '{held_spec(cursed).name}'"
            " AND NEW.state NOT IN ('executing', 'available')",
        )
        await run.insert(curse)
        await insert_all(good)
        for workflow in good:
            assert (await run.end(workflow)).outcome == "completed"
        assert (await run.tables.step(curse, "a")).settled is None
        await run.tables.execute("DROP TRIGGER refuse ON baton.oban_jobs")
        await run.end(curse)
        # Its engine answered for it all the time: nobody rescued it and performed it again.
        row = await run.tables.step(curse, "a")
        assert (row.result, row.attempt, row.errors) == ("never stored", 1, [])
        assert len(run.events.of(StepExecuting, step="a", workflow_id=curse.workflow_id)) == 1


async def test_an_orphan_that_cannot_be_rescued_keeps_no_other(dsn: str) -> None:
    workflow = Baton()
    for name in ("a", "cursed", "c"):
        workflow.add(
            name, cursed.new() if name == "cursed" else says.new(word=name), schedule_in=99
        )
    async with running(dsn, rescue_interval=0.03, heartbeat_interval=0.1, rescue_after=0.5) as run:
        await run.insert(workflow)
        await refuse(
            run.tables,
            "oban_jobs",
            "worker",
            f"OLD.worker = '{held_spec(cursed).name}' AND OLD.state = 'executing'",
        )
        orphan = {
            "state": "'executing'",
            "attempt": 1,
            "attempted_by": "'{node,11111111-1111-4111-8111-111111111111,baton}'",
            "attempted_at": "timezone('UTC', now())",
        }
        await run.tables.execute("BEGIN")
        for name in ("a", "cursed", "c"):
            await run.tables.change(workflow, name, **orphan)
        await run.tables.execute("COMMIT")
        for name in ("a", "c"):
            assert (await run.tables.until(workflow, name, "completed")).result == name
        await run.tables.execute("DROP TRIGGER refuse ON baton.oban_jobs")
        assert (await run.end(workflow)).outcome == "completed"


async def test_a_counter_that_is_wrong_holds_up_nobody(dsn: str) -> None:
    workflow = Baton().add("a", says.new(word="a"), schedule_in=99)
    workflow.add("b", says.new(word="b"), deps=["a"])
    async with running(dsn) as run:
        await run.insert(workflow)
        await run.tables.execute("UPDATE baton.workflow_nodes SET pending = 0")
        await run.tables.change(workflow, "a", scheduled_at="inserted_at")
        assert (await run.end(workflow)).outcome == "completed"
        await run.completed(Baton().add("a", says.new(word="next")))


async def test_large_outcomes_travel_in_small_batches(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_CHARACTERS", 100_000)
    workflow = Baton()
    for number in range(30):
        workflow.add(str(number), says.new(word="x" * (60_000 if number % 2 else 300_000)))
    async with running(dsn, queues={"default": 30}) as run:
        await run.completed(workflow)
        commits = "SELECT count(DISTINCT xmin::text) FROM baton.workflow_nodes"
        assert await run.tables.value(commits) >= 20


@pytest.mark.parametrize("dependent", [False, True])
async def test_a_claim_that_is_refused_spoils_no_outcome(dsn: str, dependent: bool) -> None:
    """The job that cannot be claimed, found or handed over in the settlement of others' outcomes,
    is not their fault.
    """
    async with running(dsn, queues={"default": 3}) as run:
        await refuse(
            run.tables,
            "oban_jobs",
            "worker",
            f"NEW.state = 'executing' AND NEW.worker = '{held_spec(cursed).name}'",
        )
        workflow, late = Baton(ignore_discarded=True), Baton()
        for name in "abcde":
            workflow.add(name, says.new(word=name))
        if dependent:
            workflow.add("late", cursed.new(), deps=list("abcde"))
        else:
            late.add("late", cursed.new(), priority=5)
        await insert_all([workflow] if dependent else [workflow, late], engine=run.engine)
        for name in "abcde":
            await run.events.until(StepSettled, step=name)
            row = await run.tables.step(workflow, name)
            assert (row.state, row.result) == ("completed", name)
        await run.tables.execute("DROP TRIGGER refuse ON baton.oban_jobs")
        await run.end(workflow if dependent else late)
