"""How attempts end: snoozed, cancelled, discarded, retried with a backoff, timed out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from baton import Baton, Cancel, Discard, Snooze, Step, SyncStep, Worker, worker
from baton.words.events import StepCompleted, StepRetryable, StepSnoozed
from support.running import running


@worker(max_attempts=2)
async def snoozes(step: Step, *, times: int, seconds: float) -> int | Snooze:
    SEEN.append(step.attempt)
    return Snooze(seconds) if len(SEEN) <= times else step.attempt


SEEN: list[int] = []


async def test_a_snooze_costs_no_attempt(dsn: str) -> None:
    SEEN.clear()
    workflow = Baton().add("a", snoozes.new(times=5, seconds=0))
    async with running(dsn) as run:
        await run.completed(workflow)
        row = await run.tables.step(workflow, "a")
        assert (row.result, row.attempt) == (1, 1)
        assert run.events.endings("a") == ["StepSnoozed"] * 5 + ["StepCompleted"]
    assert SEEN == [1] * 6


async def test_a_snooze_counts_by_the_clock_of_the_database(dsn: str) -> None:
    SEEN.clear()
    workflow = Baton().add("a", snoozes.new(times=1, seconds=1_000))
    async with running(dsn) as run:
        await run.insert(workflow)
        await run.events.until(StepSnoozed, step="a")
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.attempt, row.settled, row.errors) == ("scheduled", 0, None, [])
        assert 990 < row.due_in <= 1_000
        await run.tables.change(workflow, "a", scheduled_at="timezone('UTC', now())")
        await run.end(workflow)
        assert run.events.endings("a") == ["StepSnoozed", "StepCompleted"]


@worker(max_attempts=5)
async def ends(step: Step, *, how: str) -> Any:
    match how:
        case "cancel":
            return Cancel("not needed")
        case "discard":
            return Discard("no good")
        case "silent cancel":
            return Cancel()
        case "odd discard":
            return Discard("a\x00b\ud800" + "ü" * 100_000)
        case _:
            raise ValueError(how)


async def test_a_step_may_cancel_or_discard_itself(dsn: str) -> None:
    cases = {
        "cancel": ("cancelled", "not needed"),
        "discard": ("discarded", "no good"),
        "silent cancel": ("cancelled", ""),
        "odd discard": ("discarded", r"a\x00b\ud800üü"),
    }
    workflow = Baton()
    for how in cases:
        workflow.add(how, ends.new(how=how))
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        for how, (state, error) in cases.items():
            row = await run.tables.step(workflow, how)
            assert (row.state, row.settled, row.attempt, row.stored) == (state, state, 1, False)
            assert row.error.startswith(error)
            assert len(row.error.encode()) <= 65_536
            assert run.events.endings(how) == [f"Step{state.title()}"]
        moments = "SELECT concat(count(cancelled_at), count(discarded_at)) FROM baton.oban_jobs"
        assert await run.tables.value(moments) == "22"
    assert completion.failed_steps == tuple(cases)


async def test_an_error_is_tried_again_and_then_discarded(dsn: str) -> None:
    class Fails(Worker, max_attempts=3, backoff=0.05):
        async def perform(self, step: Step) -> None:
            raise ValueError(f"attempt {step.attempt}")

    workflow = Baton().add("a", Fails()).add("b", ends.new(how="cancel"), deps=["a"])
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.settled, row.attempt) == ("discarded", "discarded", 3)
        assert [(e["attempt"], e["error"].partition("\n")[0]) for e in row.errors] == [
            (1, "ValueError: attempt 1"),
            (2, "ValueError: attempt 2"),
            (3, "ValueError: attempt 3"),
        ]
        assert all("rescued" not in error and error["at"].endswith("Z") for error in row.errors)
        assert run.events.endings("a") == ["StepRetryable", "StepRetryable", "StepDiscarded"]
        assert completion.failed_steps == ("a", "b")


def raises(error: BaseException) -> Callable[[int], Any]:
    def backoff(attempt: int) -> Any:
        raise error

    return backoff


# What a backoff gives, and the seconds it stands for; None for Baton's own.
BACKOFFS: dict[str, tuple[Any, float | None]] = {
    "seconds": (lambda attempt: 500 * attempt, 500),
    "zero is a delay": (lambda attempt: 1e-3, 0),
    "timedelta": (lambda attempt: timedelta(minutes=5), 300),
    "fixed": (700, 700),
    "fixed timedelta": (timedelta(hours=1), 3_600),
    "raising": (raises(ValueError("no")), None),
    "exiting": (raises(SystemExit()), None),
    "interrupting": (raises(KeyboardInterrupt()), None),
    "cancelling": (raises(asyncio.CancelledError()), None),
    "NaN": (lambda attempt: math.nan, None),
    "infinite": (lambda attempt: math.inf, None),
    "negative": (lambda attempt: -5, None),
    "more than a float": (lambda attempt: 10**400, None),
    "more than an interval": (lambda attempt: 1e300, None),
    "text": (lambda attempt: "5", None),
    "true": (lambda attempt: True, None),
    "none": (lambda attempt: None, None),
}


async def test_the_own_backoff_counts_where_it_is_usable(dsn: str) -> None:
    workflow = Baton()

    async def fails(step: Step) -> None:
        raise ValueError(step.name)

    for name, (backoff, _) in BACKOFFS.items():
        workflow.add(name, worker(name=f"backoff.{name}", backoff=backoff)(fails).new())
    async with running(dsn, stage_interval=300) as run:
        await run.insert(workflow)
        await run.events.until(StepRetryable, len(BACKOFFS))
        for name, (_, expected) in BACKOFFS.items():
            row = await run.tables.step(workflow, name)
            assert (row.state, row.attempt, len(row.errors)) == ("retryable", 1, 1), name
            if expected is None:
                assert -10 < row.due_in < 2.3, name
            else:
                assert expected - 15 < row.due_in <= expected, name


async def test_batons_own_backoff_grows(dsn: str) -> None:
    async def fails(step: Step) -> None:
        raise ValueError

    workflow = Baton().add("a", worker(name="backoff.own")(fails).new())
    async with running(dsn, stage_interval=300) as run:
        await run.insert(workflow)
        for attempt, (least, most) in enumerate([(1.8, 2.2), (3.6, 4.4), (7.2, 8.8)], start=1):
            await run.events.until(StepRetryable, attempt)
            delay = await run.tables.value(
                "SELECT extract(epoch FROM scheduled_at - (errors -> -1 ->> 'at')::timestamp)"
                "::float8 FROM baton.oban_jobs"
            )
            assert least - 0.01 < delay < most + 0.01
            await run.tables.change(workflow, "a", state="'available'")
            run.engine.queue("default").resume()
        await run.events.until(StepRetryable, 4)


class Slow(Worker, max_attempts=1, timeout=0.05):
    how: str = "waits"

    async def perform(self, step: Step) -> str:
        if self.how == "own":
            raise TimeoutError("somebody else's")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self.how == "swallows":
                return "in spite of it"
            if self.how == "raises":
                raise ValueError("while cleaning up") from None
            raise
        return "never"


class Patient(Slow, timeout=3_600):
    pass


class ByArgs(Slow):
    seconds: float

    def timeout(self) -> float:
        return self.seconds


class Quick(Worker, timeout=0.01, max_attempts=1):
    async def perform(self, step: Step) -> int:
        for _ in range(100):
            await asyncio.sleep(0)
        return 1


async def test_a_timeout_ends_an_attempt(dsn: str) -> None:
    workflow = (
        Baton()
        .add("worker", Slow())
        .add("step", Patient(), timeout=0.05)
        .add("delta", Patient(), timeout=timedelta(milliseconds=50))
        .add("args", ByArgs(seconds=0.03))
        .add("swallows", Slow(how="swallows"))
        .add("raises", Slow(how="raises"))
        .add("own", Slow(how="own"))
        .add("in time", Quick(), timeout=60)
    )
    async with running(dsn) as run:
        await run.workflow(workflow)
        steps = {name: await run.tables.step(workflow, name) for name in workflow.step_names}
        for name, seconds in [("worker", 0.05), ("step", 0.05), ("delta", 0.05), ("args", 0.03)]:
            message = f"step {name!r} took longer than its timeout of {seconds} s"
            assert message in steps[name].error
            assert steps[name].error.startswith("baton.errors.StepTimeoutError: ")
            assert steps[name].state == "discarded"
        assert steps["swallows"].result == "in spite of it"
        assert steps["raises"].error.startswith("ValueError: while cleaning up")
        assert steps["own"].error.startswith("TimeoutError: somebody else's")
        assert steps["in time"].result == 1


class Garbled(Worker, max_attempts=1):
    which: int

    def timeout(self) -> Any:
        found = (math.nan, -1, "5", 10**400, math.inf, True)[self.which]
        return found

    async def perform(self, step: Step) -> None:
        raise AssertionError("performed without a usable timeout")


async def test_an_unusable_timeout_fails_the_step(dsn: str) -> None:
    workflow = Baton()
    for which in range(6):
        workflow.add(str(which), Garbled(which=which))
    workflow.add("after", Quick(), timeout=60)
    async with running(dsn) as run:
        await run.workflow(workflow)
        for which in range(6):
            row = await run.tables.step(workflow, str(which))
            assert row.state == "discarded"
            assert "timeout=" in row.error
            assert "InvalidOptionError" in row.error
        assert run.events.of(StepCompleted, step="after")


async def test_a_timeout_is_retried(dsn: str) -> None:
    class Third(Worker, backoff=0, timeout=0.03):
        async def perform(self, step: Step) -> int:
            if step.attempt < 3:
                await asyncio.Event().wait()
            return step.attempt

    workflow = Baton().add("a", Third())
    async with running(dsn) as run:
        await run.workflow(workflow)
        assert (await run.tables.step(workflow, "a")).result == 3
        assert run.events.endings("a") == ["StepRetryable", "StepRetryable", "StepCompleted"]


@pytest.mark.parametrize("limit", [10, 2_000_000])
async def test_results_have_a_limit(dsn: str, limit: int) -> None:
    @worker(name="outcomes.text", max_attempts=5)
    async def text(step: Step, *, length: int) -> str:
        return "é" * length

    fits = (limit - 2) // 2
    workflow = Baton().add("fits", text.new(length=fits)).add("large", text.new(length=fits + 1))
    async with running(dsn, result_limit=limit) as run:
        await run.workflow(workflow)
        assert (await run.tables.step(workflow, "fits")).result == "é" * fits
        row = await run.tables.step(workflow, "large")
        # Not tried again: it would return the same, after it did what it does once more.
        assert (row.state, row.attempt) == ("discarded", 1)
        assert f"the limit is {limit}" in row.error


@worker
async def slips(step: Step, *, how: str) -> Any:
    match how:
        case "task":
            return asyncio.ensure_future(asyncio.sleep(0))
        case "gather":
            return asyncio.gather(asyncio.sleep(0))
        case "coroutine":
            return asyncio.sleep(0)
        case "begun":
            begun = asyncio.sleep(0)
            begun.send(None)
            return begun
        case _:
            return {"Snooze": Snooze, "Cancel": Cancel, "Discard": Discard}[how]


@worker
def slips_in_a_thread(step: SyncStep) -> Any:
    return asyncio.sleep(0)


async def test_a_slip_is_told_with_what_was_meant(dsn: str) -> None:
    cases = {
        "Snooze": "the class Snooze: return Snooze(30)",
        "Cancel": "the class Cancel: return Cancel('reason')",
        "Discard": "the class Discard: return Discard('reason')",
        "coroutine": "a coroutine: return await sleep(…)",
        "begun": "a coroutine: return await sleep(…)",
        "task": "a Task, not its result: return await …",
        "gather": "a _GatheringFuture, not its result: return await …",
    }
    workflow = Baton()
    for how in cases:
        workflow.add(how, slips.new(how=how))
    start = "the result cannot be stored: the step returned"
    workflow.add("thread", slips_in_a_thread.new(), max_attempts=1)
    async with running(dsn) as run:
        await run.workflow(workflow)
        for how, told in cases.items():
            row = await run.tables.step(workflow, how)
            assert (row.state, row.error) == ("discarded", f"{start} {told}")
        error = (await run.tables.step(workflow, "thread")).error
        assert "it has to be one: async def … return await …" in error
