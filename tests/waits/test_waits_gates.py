"""Gate steps: armed when their dependencies settle, settled by the decider, without a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from baton import Baton, Cancel, Delivery, Discard, Step, send_event, worker
from baton.errors import InvalidNameError, InvalidOptionError, UnknownStepError
from baton.words.events import EventReceived, StepCancelled, WaitSettled
from support.running import running
from support.waits import mailbox, members, statuses, until_waits


@worker(name="gates.note")
async def note(step: Step) -> Any:
    return await step.results()


@worker(name="gates.fail", max_attempts=1)
async def fail(step: Step, *, how: str) -> Any:
    return Cancel("no") if how == "cancel" else Discard("no")


class Unmodelled:
    """Nothing pydantic could make a schema of."""


def gated(**options: Any) -> Baton:
    """a, then the gate, then b."""
    options = {"any_of": ["yes"], **options}
    return (
        Baton(workflow_name="w")
        .add("a", note.new())
        .wait("gate", deps=["a"], **options)
        .add("b", note.new(), deps=["gate"])
    )


async def test_a_gate_completes_with_its_event(dsn: str) -> None:
    workflow = gated()
    async with running(dsn) as run:
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        sent = await send_event(workflow.workflow_id, "yes", {"by": "ada"})
        assert sent is Delivery.SETTLED
        assert (await run.end(workflow)).outcome == "completed"
        result = await run.engine.workflow(workflow.workflow_id).result("b")
        (wait,) = await run.events.until(WaitSettled)
        (event,) = await run.events.until(EventReceived)
        assert await run.tables.states(workflow) == dict.fromkeys(("a", "gate", "b"), "completed")
    assert result == {
        "gate": {
            "outcome": "events",
            "winner": "yes",
            "order": ["yes"],
            "events": {"yes": {"by": "ada"}},
            "missing": [],
        }
    }
    assert (wait.step, wait.replay_key, wait.outcome, wait.workflow_name) == (
        "gate",
        "",
        "events",
        "w",
    )
    assert wait.duration > 0
    assert (event.event, event.delivery, event.waits) == ("yes", Delivery.SETTLED, 1)


async def test_nobody_claims_a_gate(dsn: str) -> None:
    """Not even an engine that serves its queue: it is suspended until it settles."""
    workflow = gated()
    async with running(dsn, queues={"default": 2, "baton_waits": 2}) as run:
        jobs = await run.insert(workflow)
        assert jobs[1].state == "suspended"
        await until_waits(run.tables, workflow)
        row = await run.tables.step(workflow, "gate")
        assert (row.state, row.attempt, row.pending) == ("suspended", 0, 1)
        await send_event(workflow.workflow_id, "yes")
        await run.end(workflow)
        assert (await run.tables.step(workflow, "gate")).attempt == 0


@pytest.mark.parametrize(
    ("form", "sent", "results", "missing"),
    [
        ({"any_of": ["x", "y", "z"]}, "y", ["settled"], ["x", "z"]),
        ({"all_of": ["x", "y"]}, "yx", ["delivered", "settled"], []),
        ({"at_least": (2, ["x", "y", "z"])}, "zx", ["delivered", "settled"], ["y"]),
        ({"all_of": ["x", "y"]}, "xxy", ["delivered", "buffered", "settled"], []),
    ],
)
async def test_forms(
    dsn: str, form: dict[str, Any], sent: str, results: list[str], missing: list[str]
) -> None:
    workflow = Baton().wait("gate", **form)
    async with running(dsn) as run:
        await run.insert(workflow)
        found = [str(await send_event(workflow.workflow_id, name, name)) for name in sent]
        await run.end(workflow)
        result = await run.engine.workflow(workflow.workflow_id).result("gate")
        states = await members(run.tables, workflow)
    assert found == results
    assert result["missing"] == missing
    assert result["order"] == list(dict.fromkeys(sent))
    assert result["events"] == {name: name for name in dict.fromkeys(sent)}
    assert states == {
        name: "missed" if name in missing else "received" for name in (*missing, *set(sent))
    }


async def test_events_that_come_before_the_gate_is_armed_settle_it_at_once(dsn: str) -> None:
    """And so on down a chain, in the transaction of the step above: gates, then a step."""
    workflow = Baton().add("a", note.new())
    above = "a"
    for number in range(60):
        workflow.wait(f"g{number}", any_of=[f"e{number}"], deps=[above])
        above = f"g{number}"
    workflow.add("b", note.new(), deps=[above])
    async with running(dsn) as run:
        await run.tables.execute("UPDATE baton.oban_jobs SET state = 'suspended'")
        run.engine.queue("default").pause()
        await run.insert(workflow)
        for number in reversed(range(60)):
            sent = await send_event(workflow.workflow_id, f"e{number}", number)
            assert sent is Delivery.BUFFERED
        run.engine.queue("default").resume()
        await run.end(workflow)
        assert len(await run.events.until(WaitSettled, 60)) == 60
        assert await mailbox(run.tables, workflow.workflow_id) == []


async def test_a_gate_that_is_the_last_step_ends_its_workflow(dsn: str) -> None:
    workflow = Baton().add("a", note.new()).wait("gate", any_of=["x"], deps=["a"])
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(workflow)
        await send_event(workflow.workflow_id, "x")
        run.engine.queue("default").resume()
        assert (await run.end(workflow)).total_count == 2


@pytest.mark.parametrize(
    ("options", "state", "b"),
    [
        ({}, "completed", "completed"),
        ({"default": None}, "completed", "completed"),
        ({"on_timeout": "cancel"}, "cancelled", "cancelled"),
        ({"on_timeout": "discard"}, "discarded", "cancelled"),
    ],
)
async def test_time_runs_out(dsn: str, options: dict[str, Any], state: str, b: str) -> None:
    workflow = gated(all_of=["x", "y"], any_of=None, timeout=timedelta(seconds=0.15), **options)
    async with running(dsn) as run:
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        await send_event(workflow.workflow_id, "y", 1)
        completion = await run.end(workflow)
        row = await run.tables.step(workflow, "gate")
        assert await run.tables.states(workflow) == {"a": "completed", "gate": state, "b": b}
        (wait,) = await run.events.until(WaitSettled)
        assert (wait.outcome, wait.step) == ("timeout", "gate")
        assert await statuses(run.tables, workflow) == ["timeout"]
        assert await members(run.tables, workflow) == {"x": "missed", "y": "received"}
    expected = {"outcome": "timeout", "winner": "y", "order": ["y"]} | {
        "events": {"y": 1},
        "missing": ["x"],
        **({"default": None} if "default" in options else {}),
    }
    assert row.result == (expected if state == "completed" else None)
    assert completion.failed_count == {"completed": 0, "cancelled": 2, "discarded": 2}[state]
    if state != "completed":
        assert row.error == "time was over before the events had come"
    if state == "cancelled":
        assert [event.step for event in await run.events.until(StepCancelled, 2)] == ["gate", "b"]


async def test_ignore_flags_treat_a_gate_like_any_step(dsn: str) -> None:
    workflow = (
        Baton()
        .wait("gate", any_of=["x"], timeout=0.01, on_timeout="discard")
        .add("b", note.new(), deps=["gate"], ignore_discarded=True)
    )
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        assert completion.failed_steps == ("gate",)
        assert await run.engine.workflow(workflow.workflow_id).result("b") == {}


@pytest.mark.parametrize("how", ["cancel", "discard"])
async def test_a_failure_above_ends_the_gate(dsn: str, how: str) -> None:
    workflow = Baton().add("a", fail.new(how=how)).wait("gate", any_of=["x"], deps=["a"])
    async with running(dsn) as run:
        await run.workflow(workflow)
        assert await run.tables.states(workflow) == {
            "a": f"{how}led" if how == "cancel" else "discarded",
            "gate": "cancelled",
        }
        assert await statuses(run.tables, workflow) == ["cancelled"]
        assert await members(run.tables, workflow) == {"x": "missed"}


@pytest.mark.parametrize("how", ["cancel", "discard"])
async def test_a_failure_above_may_arm_a_gate_that_ignores_it(dsn: str, how: str) -> None:
    """Then events that are there already settle it, by the slow path of settling."""
    workflow = (
        Baton(ignore_cancelled=True, ignore_discarded=True)
        .add("a", fail.new(how=how))
        .wait("g1", any_of=["x"], deps=["a"])
        .wait("g2", any_of=["y"], deps=["g1"])
        .add("b", note.new(), deps=["g2"])
    )
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(workflow)
        for name in "yx":
            await send_event(workflow.workflow_id, name)
        run.engine.queue("default").resume()
        completion = await run.end(workflow)
        assert completion.failed_steps == ("a",)
        assert [wait.step for wait in await run.events.until(WaitSettled, 2)] == ["g1", "g2"]


async def test_cancelling_the_workflow_settles_its_groups(dsn: str) -> None:
    workflow = gated().wait("later", any_of=["z"], deps=["b"])
    async with running(dsn) as run:
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        assert await run.engine.workflow(workflow.workflow_id).cancel() == 3
        assert (await run.end(workflow)).outcome == "cancelled"
        assert await statuses(run.tables, workflow) == ["cancelled"] * 2


async def test_cancel_wait_cancels_the_gate_with_its_reason(dsn: str) -> None:
    workflow = gated()
    async with running(dsn) as run:
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        with pytest.raises(UnknownStepError):
            await run.engine.workflow(workflow.workflow_id).cancel_wait("nowhere")
        assert not await run.engine.workflow(workflow.workflow_id).cancel_wait("a")
        assert await run.engine.workflow(workflow.workflow_id).cancel_wait("gate", "nobody\0 cares")
        assert not await run.engine.workflow(workflow.workflow_id).cancel_wait("gate")
        assert (await run.end(workflow)).failed_steps == ("gate", "b")
        assert (await run.tables.step(workflow, "gate")).error == "nobody\\x00 cares"
        (wait,) = await run.events.until(WaitSettled)
        assert wait.outcome == "cancelled"


async def test_a_deadline_runs_from_arming(dsn: str) -> None:
    """By the database's clock: what a client's clock says does not matter."""
    workflow = gated(timeout=3600)
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(workflow)
        assert await statuses(run.tables, workflow) == ["dormant"]
        look = "SELECT deadline - armed_at FROM baton.workflow_wait_groups"
        assert await run.tables.value(look) is None
        run.engine.queue("default").resume()
        await until_waits(run.tables, workflow)
        assert await run.tables.value(look) == timedelta(seconds=3600)
        await run.engine.workflow(workflow.workflow_id).cancel()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, InvalidOptionError),
        ({"any_of": ["a"], "all_of": ["b"]}, InvalidOptionError),
        ({"any_of": "abc"}, InvalidOptionError),
        ({"any_of": []}, InvalidOptionError),
        ({"any_of": ["a", "a"]}, InvalidOptionError),
        ({"any_of": [f"e{n}" for n in range(1001)]}, InvalidOptionError),
        ({"any_of": [""]}, InvalidNameError),
        ({"any_of": 5}, InvalidOptionError),
        ({"at_least": 2}, InvalidOptionError),
        ({"at_least": (0, ["a"])}, InvalidOptionError),
        ({"at_least": (True, ["a"])}, InvalidOptionError),
        ({"at_least": (3, ["a", "b"])}, InvalidOptionError),
        ({"any_of": ["a"], "timeout": -1}, InvalidOptionError),
        ({"any_of": ["a"], "timeout": float("nan")}, InvalidOptionError),
        ({"any_of": ["a"], "timeout": float("inf")}, InvalidOptionError),
        ({"any_of": ["a"], "timeout": timedelta(days=365 * 10_000)}, InvalidOptionError),
        ({"any_of": ["a"], "default": 1}, InvalidOptionError),
        ({"any_of": ["a"], "on_timeout": "explode"}, InvalidOptionError),
        ({"any_of": ["a"], "on_timeout": "cancel"}, InvalidOptionError),
        ({"any_of": ["a"], "on_timeout": "cancel", "timeout": 1, "default": 1}, InvalidOptionError),
        ({"any_of": ["a"], "replay_key": "x"}, InvalidOptionError),
        ({"any_of": ["a"], "prompt": 5}, InvalidOptionError),
        ({"any_of": ["a"], "correlation_key": ""}, InvalidNameError),
        ({"any_of": ["a"], "payload_type": {"b": int}}, InvalidOptionError),
        ({"any_of": ["a"], "payload_type": Unmodelled}, InvalidOptionError),
    ],
)
def test_what_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Baton().wait("gate", **options)


def test_an_unknown_option_is_named_before_what_is_missing() -> None:
    with pytest.raises(
        InvalidOptionError, match="options are: any_of, all_of, at_least, on_timeout, "
    ):
        Baton().wait("gate", events=["a"])  # type: ignore[call-arg]


@pytest.mark.parametrize("timeout", [0, 0.5, timedelta(days=100), timedelta(days=3650)])
async def test_long_times(dsn: str, timeout: Any) -> None:
    workflow = Baton().wait("gate", any_of=["x"], timeout=timeout)
    async with running(dsn) as run:
        await run.insert(workflow)
        if timeout:
            await send_event(workflow.workflow_id, "x")
        await run.end(workflow)
        result = await run.engine.workflow(workflow.workflow_id).result("gate")
        assert result["outcome"] == ("events" if timeout else "timeout")
