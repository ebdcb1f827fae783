"""Waits inside steps: the body ends where it waits, and is run again from the top."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from baton import (
    Delivery,
    Step,
    SyncStep,
    WaitCancelled,
    WaitEvents,
    WaitTimeout,
    send_event,
    worker,
)
from baton.words.events import StepDiscarded, StepExecuting, StepSuspended, WaitSettled
from support.running import running
from support.waiting_steps import forms, one, only, runs, seen, several
from support.waits import members, statuses, until_waits


@pytest.fixture(autouse=True)
def fresh() -> None:
    runs.clear()
    seen.clear()


class Answer(BaseModel):
    by: str
    at: datetime


async def test_the_body_is_run_again_when_its_event_has_come(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, one.new())
        await until_waits(run.tables, workflow)
        row = await run.tables.step(workflow, "s")
        assert (row.state, row.attempt, row.pending) == ("suspended", 0, 1)
        assert await send_event(workflow.workflow_id, "x", [1]) is Delivery.SETTLED
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == [1]
        (settled,) = await run.events.until(WaitSettled)
        (suspended,) = await run.events.until(StepSuspended)
        assert run.events.endings("s") == ["StepSuspended", "StepCompleted"]
        assert {event.attempt for event in run.events.of(StepExecuting)} == {1}
        assert (await run.tables.step(workflow, "s")).pending == 0
    assert runs["one"] == 2
    assert (settled.step, settled.replay_key, settled.outcome) == ("s", "#1", "events")
    assert (suspended.step, suspended.state) == ("s", "suspended")


async def test_its_slot_is_free_meanwhile(dsn: str) -> None:
    async with running(dsn, queues={"default": 1}) as run:
        waiting = [await only(run, one.new()) for _ in range(5)]
        for workflow in waiting:
            await until_waits(run.tables, workflow)
        for workflow in waiting:
            await send_event(workflow.workflow_id, "x", 1)
            await run.end(workflow)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("form", "sent", "expected"),
    [
        ("any", "y", WaitEvents({"y": "y"}, ("x", "z"))),
        ("all", "yx", WaitEvents({"y": "y", "x": "x"})),
        ("n", "zx", WaitEvents({"z": "z", "x": "x"}, ("y",))),
        ("for", "x", "x"),
    ],
)
async def test_forms(dsn: str, form: str, sent: str, expected: Any, early: bool) -> None:
    async with running(dsn) as run:
        if early:
            run.engine.queue("default").pause()
        workflow = await only(run, forms.new(form=form))
        if not early:
            await until_waits(run.tables, workflow)
        for name in sent:
            await send_event(workflow.workflow_id, name, name)
        run.engine.queue("default").resume()
        await run.end(workflow)
        states = await members(run.tables, workflow)
    assert seen == [expected]
    if isinstance(expected, WaitEvents):
        assert list(expected.events) == list(seen[0].events)
        assert seen[0].winner == sent[0]
        assert set(states.values()) == {"received", "missed"} - (
            set() if expected.missing else {"missed"}
        )


@pytest.mark.parametrize("payload", [None, False, 0, "", [], "x" * 1_000_000, {"a": [None]}])
async def test_payloads(dsn: str, payload: Any) -> None:
    async with running(dsn, result_limit=2_000_000) as run:
        workflow = await only(run, one.new())
        await until_waits(run.tables, workflow)
        await send_event(workflow.workflow_id, "x", payload)
        await run.end(workflow)
        found = await run.engine.workflow(workflow.workflow_id).result("s")
    assert found == payload
    assert type(found) is type(payload)


@pytest.mark.parametrize(
    ("form", "options", "sent", "expected"),
    [
        ("any", {"timeout": 0.1}, "", WaitTimeout({}, ("x", "y", "z"))),
        ("all", {"timeout": 0.3}, "y", WaitTimeout({"y": "y"}, ("x",))),
        ("for", {"timeout": 0.1}, "", WaitTimeout({}, ("x",))),
        ("for", {"timeout": 0, "default": None}, "", None),
        ("all", {"timeout": 0.3, "default": {"a": 1}}, "x", {"a": 1}),
        ("sleep", None, "", None),
        ("until", None, "", None),
        ("past", None, "", None),
    ],
)
async def test_time_runs_out(dsn: str, form: str, options: Any, sent: str, expected: Any) -> None:
    async with running(dsn) as run:
        workflow = await only(run, forms.new(form=form, options=options))
        for name in sent:
            await send_event(workflow.workflow_id, name, name)
        await run.end(workflow)
        assert await statuses(run.tables, workflow) == ["timeout"]
    assert seen == [expected]


async def test_a_cancelled_wait_returns_so_and_the_step_goes_on(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, forms.new(form="all"))
        await until_waits(run.tables, workflow)
        await send_event(workflow.workflow_id, "x")
        assert await run.engine.workflow(workflow.workflow_id).cancel_wait("s", "never mind")
        assert not await run.engine.workflow(workflow.workflow_id).cancel_wait("s", "again")
        await run.end(workflow)
    assert seen == [WaitCancelled("never mind")]


async def test_cancelling_the_workflow_settles_the_wait(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, one.new())
        await until_waits(run.tables, workflow)
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 1
        assert (await run.end(workflow)).failed_steps == ("s",)
        assert await statuses(run.tables, workflow) == ["cancelled"]
    assert runs["one"] == 1


async def test_several_waits_in_turn(dsn: str) -> None:
    """Each takes one event, in the order they were sent. The time spent waiting is not counted by
    the step's timeout: it ran out, were it one attempt.
    """
    async with running(dsn) as run:
        workflow = await only(run, several.new())
        for name, value in (("x", 1), ("y", 3), ("x", 2)):
            await send_event(workflow.workflow_id, name, value)
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == [1, 2, 3, 1]
        # Each is told after its commit, by whoever committed: not always in turn.
        told = {wait.replay_key for wait in await run.events.until(WaitSettled, 5)}
        assert told == {"#1", "#2", "mine", "#3", "#4"}
    assert runs["several"] == 6


@worker(name="steps.memo", max_attempts=5, backoff=0)
async def memoised(step: Step) -> Any:
    async def order() -> dict[str, int]:
        runs["order"] += 1
        return {"number": runs["order"]}

    def plain() -> Any:
        runs["plain"] += 1

    runs["memoised"] += 1
    found = [await step.memo("order", order), await step.memo("plain", plain)]
    if step.attempt == 1:
        raise ValueError("again")
    return [*found, await step.wait_for("x")]


async def test_memo_happens_once(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, memoised.new())
        await until_waits(run.tables, workflow)
        await send_event(workflow.workflow_id, "x", "X")
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == [
            {"number": 1},
            None,
            "X",
        ]
    assert runs == {"memoised": 3, "order": 1, "plain": 1}


@worker(name="steps.catching", max_attempts=2, backoff=0)
async def catching(step: Step, *, how: str) -> Any:
    runs["catching"] += 1
    try:
        try:
            return await step.wait_for("x")
        except Exception:
            runs["caught"] += 1
            return "swallowed"
        finally:
            await asyncio.sleep(0)
            runs["finally"] += 1
    except BaseException:
        match how:
            case "return":
                return "swallowed"
            case "wait":
                return await step.wait_for("y")
            case "other":
                raise ValueError("instead") from None
            case _:
                raise


async def test_an_except_exception_does_not_swallow_the_suspension(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, catching.new(how="raise"))
        await until_waits(run.tables, workflow)
        await send_event(workflow.workflow_id, "x", 1)
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == 1
    assert runs == {"catching": 2, "finally": 2}


@pytest.mark.parametrize(
    ("how", "error"),
    [("return", "WaitSwallowedError: step 's' caught the"), ("other", "ValueError: instead")],
)
async def test_going_on_in_spite_of_it_is_an_error(dsn: str, how: str, error: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, catching.new(how=how))
        await run.end(workflow)
        row = await run.tables.step(workflow, "s")
        assert (row.state, row.attempt, len(row.errors)) == ("discarded", 2, 2)
        assert error in row.error
        assert await statuses(run.tables, workflow) == []


async def test_waiting_again_in_spite_of_it_waits_for_the_first(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, catching.new(how="wait"))
        await until_waits(run.tables, workflow)
        assert await members(run.tables, workflow) == {"x": "waiting"}
        await send_event(workflow.workflow_id, "x", 1)
        await run.end(workflow)


@worker(name="steps.parallel", max_attempts=1)
async def parallel(step: Step, *, how: str) -> Any:
    found: dict[str, Any] = {}

    async def wait(name: str) -> None:
        found[name] = await step.wait_for(name, replay_key=name)

    match how:
        case "gather":
            await asyncio.gather(wait("x"), wait("y"))
        case "asyncio":
            async with asyncio.TaskGroup() as group:
                for name in "xy":
                    group.create_task(wait(name))
        case _:
            async with anyio.create_task_group() as tasks:
                for name in "xy":
                    tasks.start_soon(wait, name)
    return found


@pytest.mark.parametrize("how", ["gather", "asyncio", "anyio"])
async def test_waits_in_parallel(dsn: str, how: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, parallel.new(how=how))
        for name in "yx":
            await send_event(workflow.workflow_id, name, name)
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == {"x": "x", "y": "y"}


@worker(name="steps.changing", max_attempts=2, backoff=0)
async def changing(step: Step) -> Any:
    runs["changing"] += 1
    return await step.wait_any(*("xy" if runs["changing"] == 1 else "xz"))


async def test_a_replay_that_asks_for_other_events_is_an_error(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, changing.new())
        await until_waits(run.tables, workflow)
        await send_event(workflow.workflow_id, "x")
        await run.end(workflow)
        row = await run.tables.step(workflow, "s")
        assert (
            "the replay key '#1' for 1 of ['x', 'z'], and before for 1 of ['x', 'y']" in row.error
        )


@worker(name="steps.reordering", max_attempts=1)
async def reordering(step: Step) -> Any:
    runs["reordering"] += 1
    found = await step.wait_all(*("xyz" if runs["reordering"] % 2 else "zyx"))
    assert isinstance(found, WaitEvents)
    return list(found.events)


async def test_a_replay_may_name_its_events_in_another_order(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, reordering.new())
        await until_waits(run.tables, workflow)
        for name in "yzx":
            await send_event(workflow.workflow_id, name)
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == ["y", "z", "x"]
    assert runs["reordering"] == 2


@worker(name="steps.called_memo", max_attempts=1)
async def called_memo(step: Step) -> Any:
    async def order() -> int:
        return 17

    return await step.memo("order", order())  # type: ignore[call-overload]


async def test_a_memo_is_given_a_function(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, called_memo.new())
        await run.end(workflow)
        row = await run.tables.step(workflow, "s")
        assert "expected a function without parameters, not called: memo('order', " in row.error


@worker(name="steps.plain", max_attempts=1)
def plain(step: SyncStep) -> Any:
    assert not hasattr(step, "nothing")
    return step.wait_for("x")  # type: ignore[attr-defined]


async def test_a_plain_function_cannot_wait(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, plain.new())
        await run.end(workflow)
        row = await run.tables.step(workflow, "s")
        assert "WaitNotPossibleError: step 's' cannot wait: wait_for needs 'async def'" in row.error


@worker(name="steps.modelled", max_attempts=1)
async def modelled(step: Step) -> Any:
    answer = await step.wait_for("x", payload_type=Answer)
    assert isinstance(answer, Answer)
    both = await step.wait_all("a", "b", payload_type={"a": int})
    assert isinstance(both, WaitEvents)
    late = await step.wait_all("c", "never", payload_type=Answer, timeout=0.01)
    assert isinstance(late, WaitTimeout)
    return [answer.by, answer.at.year, both["a"], both["b"], late.received["c"].by]


async def test_a_job_outside_a_workflow_cannot_wait(dsn: str) -> None:
    async with running(dsn) as run:
        await run.tables.execute(
            "INSERT INTO baton.oban_jobs (worker, max_attempts) VALUES ('steps.one', 1)"
        )
        await run.tables.execute("NOTIFY \"baton.oban_insert\", '{}'")
        (ended,) = await run.events.until(StepDiscarded)
        assert "WaitNotPossibleError" in (ended.error or "")


async def test_payloads_come_as_their_models(dsn: str) -> None:
    async with running(dsn) as run:
        workflow = await only(run, modelled.new())
        await until_waits(run.tables, workflow)
        for name, by in (("c", "bob"), ("x", "ada")):
            answer = Answer(by=by, at=datetime(2026, 1, 1))  # noqa: DTZ001
            await send_event(workflow.workflow_id, name, answer)
        for name, value in (("a", 5), ("b", "any")):
            await send_event(workflow.workflow_id, name, value)
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == [
            "ada",
            2026,
            5,
            "any",
            "bob",
        ]
