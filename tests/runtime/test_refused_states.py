"""One refused outcome keeps no other from being written, whatever the error is."""

from __future__ import annotations

import pytest

from baton import Baton, Snooze, Step, insert_all, worker
from baton.words.events import StepExecuting
from baton.workers.registry import held_spec
from support.gates import Gate
from support.running import Run, Tables, fast, opened, recorded, running
from support.waiting import eventually

RAISE = "RAISE EXCEPTION 'not today' USING ERRCODE = '{}'"
BODIES = {
    # An error of the trigger's own, as its authors did not foresee it.
    "42P01": "INSERT INTO audit_log VALUES (1)",
    **{code: RAISE.format(code) for code in ("42501", "55000", "AB123", "55P03", "XX000")},
    **{code: RAISE.format(code) for code in ("57014", "40001", "0A000", "54001", "P0002")},
}
TRIGGER = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {body};
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse BEFORE UPDATE ON baton.oban_jobs FOR EACH ROW
WHEN (OLD.state = 'executing' AND OLD.worker = '{worker}') EXECUTE FUNCTION public.refuse()
"""
DROP = "DROP TRIGGER refuse ON baton.oban_jobs"

go = Gate()


@worker
async def good(step: Step) -> str:
    await go.wait()
    return "fine"


@worker
async def cursed(step: Step) -> str:
    await go.wait()
    return "precious"


@worker
async def sleepy(step: Step) -> Snooze | str:
    await go.wait()
    return Snooze(300) if step.attempt == 1 else "awake"


def workflows(bad: Baton) -> list[Baton]:
    """The bad one in the middle of forty that end in one turn of the loop."""
    many = [Baton().add("a", good.new()) for _ in range(39)]
    return [*many[:20], bad, *many[20:]]


async def refuse(tables: Tables, body: str, name: str = held_spec(cursed).name) -> None:
    await tables.execute(TRIGGER.format(body=body, worker=name))


async def begin_all(run: Run, all_of_them: list[Baton]) -> None:
    await insert_all(all_of_them, engine=run.engine)
    await run.events.until(StepExecuting, len(all_of_them))


@pytest.mark.parametrize("settlers", [1, 2])
@pytest.mark.parametrize("code", BODIES)
async def test_thirty_nine_good_outcomes_and_a_refused_one(
    dsn: str, code: str, settlers: int, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Baton().add("a", cursed.new())
    all_of_them = workflows(bad)
    async with running(dsn, queues={"default": 50}, settlers=settlers) as run:
        await refuse(run.tables, BODIES[code])
        await begin_all(run, all_of_them)
        go.set()
        for workflow in all_of_them:
            if workflow is not bad:
                assert (await run.end(workflow)).outcome == "completed"
        # What comes later goes on as well.
        for _ in range(5):
            await run.completed(Baton().add("a", good.new()))
        row = await run.tables.step(bad, "a")
        assert (row.state, row.settled) == ("executing", None)
        await eventually(lambda: _is_logged(caplog, row.id))
        await run.tables.execute(DROP)
        assert (await run.end(bad)).outcome == "completed"
        row = await run.tables.step(bad, "a")
        assert (row.result, row.attempt, row.errors) == ("precious", 1, [])
        assert len(run.events.of(StepExecuting)) == len(all_of_them) + 5


async def _is_logged(caplog: pytest.LogCaptureFixture, job_id: int) -> bool:
    lines = [
        r
        for r in caplog.records
        if f"job {job_id} " in r.message or f"(jobs {job_id})" in r.message
    ]
    assert len(lines) <= 2
    return bool(lines)


async def test_a_result_that_a_trigger_refuses_on_purpose_is_discarded(dsn: str) -> None:
    bad = Baton().add("a", cursed.new())
    all_of_them = workflows(bad)
    async with running(dsn, queues={"default": 50}) as run:
        name = "NEW.state = 'completed' AND OLD.worker"
        text = TRIGGER.format(body=RAISE.format("P0001"), worker=held_spec(cursed).name)
        await run.tables.execute(text.replace("OLD.worker", name))
        await begin_all(run, all_of_them)
        go.set()
        for workflow in all_of_them:
            outcome = "failed" if workflow is bad else "completed"
            assert (await run.end(workflow)).outcome == outcome
        row = await run.tables.step(bad, "a")
        assert (row.state, row.attempt) == ("discarded", 1)
        assert "not today" in row.error
        assert len(run.events.of(StepExecuting)) == len(all_of_them)


async def test_what_has_no_result_is_not_discarded_for_a_trigger(dsn: str) -> None:
    snoozing = Baton().add("a", sleepy.new())
    async with running(dsn) as run:
        await refuse(run.tables, RAISE.format("P0001"), held_spec(sleepy).name)
        await run.insert(snoozing)
        await run.events.until(StepExecuting)
        go.set()
        await run.completed(Baton().add("a", good.new()))
        await run.tables.execute(DROP)
        row = await run.tables.until(snoozing, "a", "scheduled")
        assert (row.attempt, row.errors) == (0, [])


@pytest.mark.parametrize("code", ["AB123", "P0001", "42501"])
async def test_a_stop_leaves_only_what_is_refused(
    dsn: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Baton().add("a", cursed.new())
    all_of_them = workflows(bad)
    async with opened(dsn) as tables:
        await refuse(tables, RAISE.format(code))
        with recorded() as events:
            engine = fast(dsn, queues={"default": 50})
            async with engine:
                await begin_all(Run(engine, events, tables), all_of_them)
                go.set()
            assert len(events.of(StepExecuting)) == len(all_of_them)
        left = [w for w in all_of_them if (await tables.step(w, "a")).state == "executing"]
        assert left == [bad]
        assert "could not be settled" not in caplog.text


async def test_a_queue_whose_outcomes_are_all_refused_claims_no_more(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it performs is not kept: better that it waits. Other queues go on."""
    go.set()
    many = [Baton().add("a", cursed.new(), queue="bad") for _ in range(100)]
    async with running(dsn, queues={"default": 5, "bad": 5}) as run:
        await refuse(run.tables, RAISE.format("AB123"))
        await insert_all(many, engine=run.engine)
        await eventually(lambda: _is_useless(caplog))
        # What was claimed by then still runs; how many that are depends on how fast refusals come.
        await run.completed(Baton().add("a", good.new()))
        begun = len(run.events.of(StepExecuting, queue="bad"))
        for _ in range(5):
            await run.completed(Baton().add("a", good.new()))
        assert len(run.events.of(StepExecuting, queue="bad")) == begun < 100
        await run.tables.execute(DROP)
        for workflow in many:
            assert (await run.end(workflow)).outcome == "completed"
        assert len(run.events.of(StepExecuting, queue="bad")) == 100


async def _is_useless(caplog: pytest.LogCaptureFixture) -> bool:
    return "queue 'bad' claims nothing for now" in caplog.text
