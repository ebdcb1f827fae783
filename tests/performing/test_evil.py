"""Whatever a step's code does, its outcome is recorded, readable, and the next step runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import field_validator

from baton import Baton, Plugin, Step, SyncStep, Worker, worker
from baton.words.events import StepCompleted, StepEvent
from baton.workers.class_worker import spec_of
from baton.workers.registry import held_spec
from support.evil import IMPOSSIBLE, RAISED, RETURNED
from support.running import Row, Run, running

ONE_AT_A_TIME = {"default": 1}
NOW = "timezone('UTC', now())"


@worker
async def sentinel(step: Step) -> str:
    return "still here"


async def survived(run: Run) -> None:
    """A job in the same queue runs; with one slot, none was lost."""
    await run.completed(Baton().add("sentinel", sentinel.new()))


async def ended(run: Run, workflow: Baton) -> Row:
    """How the step "evil" ended; then the next one."""
    await run.workflow(workflow)
    row = await run.tables.step(workflow, "evil")
    await survived(run)
    return row


def act(how: str) -> Any:
    if how.startswith("raise "):
        raise RAISED[how.removeprefix("raise ")][0]()
    if how in IMPOSSIBLE:
        return IMPOSSIBLE[how][0]()
    return RETURNED[how]()


class Async(Worker, max_attempts=1):
    how: str

    async def perform(self, step: Step) -> Any:
        await asyncio.sleep(0)
        return act(self.how)


class Thread(Worker, max_attempts=1):
    how: str

    def perform(self, step: SyncStep) -> Any:
        return act(self.how)


KINDS: list[type[Async] | type[Thread]] = [Async, Thread]


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_is_raised(dsn: str, kind: type[Async] | type[Thread]) -> None:
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        for how, (_, begins) in RAISED.items():
            row = await ended(run, Baton().add("evil", kind(how=f"raise {how}")))
            assert (row.state, row.settled, row.attempt, row.stored) == (
                "discarded",
                "discarded",
                1,
                False,
            ), how
            assert row.error.startswith(begins), (how, row.error[:200])
            assert 5 < len(row.error.encode()) <= 65_536, how


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_is_returned(dsn: str, kind: type[Async] | type[Thread]) -> None:
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        for how in RETURNED:
            row = await ended(run, Baton().add("evil", kind(how=how), max_attempts=9))
            assert (row.state, row.settled, row.attempt, row.stored) == (
                "discarded",
                "discarded",
                1,
                False,
            ), how
            assert "the result cannot be stored" in row.error or how in (
                "serializer",
                "falling apart",
            )
            assert row.error, how
        for how, (_, begins) in IMPOSSIBLE.items():
            row = await ended(run, Baton().add("evil", kind(how=how)))
            assert (row.state, row.error[: len(begins)]) == ("discarded", begins)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_evil_error_is_retried_like_any_other(
    dsn: str, kind: type[Async] | type[Thread]
) -> None:
    workflow = Baton()
    chosen = ["cancelled", "keyboard", "exit", "generator exit", "timeout", "our state", "NUL"]
    for how in chosen:
        workflow.add(how, kind(how=f"raise {how}"), max_attempts=2)
    async with running(dsn, queues=ONE_AT_A_TIME, stage_interval=300) as run:
        await run.insert(workflow)
        for how in chosen:
            row = await run.tables.until(workflow, how, "retryable")
            assert (row.attempt, row.settled, len(row.errors)) == (1, None, 1)
            assert row.due_in > 0
            await run.tables.change(workflow, how, state="'available'")
        run.engine.queue("default").resume()
        assert (await run.end(workflow)).failed_steps == tuple(chosen)


class Meddling(Worker, max_attempts=2, backoff=0):
    how: str

    async def perform(self, step: Step) -> str:
        task = asyncio.current_task()
        assert task is not None
        if step.attempt == 2:
            return "second"
        match self.how:
            case "cancels its task":
                task.cancel()
                await asyncio.sleep(0)
            case "cancels its task and raises":
                task.cancel()
                raise ValueError("and raises")
            case "cancels its task later":
                asyncio.get_running_loop().call_soon(task.cancel)
                await asyncio.Event().wait()
            case "cancels its task twice":
                task.cancel()
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    task.cancel()
                await asyncio.sleep(0)
            case _:
                task.cancel()
        return "first"


MEDDLING = {
    "cancels its task": "asyncio.exceptions.CancelledError",
    "cancels its task and raises": "ValueError: and raises",
    "cancels its task later": "asyncio.exceptions.CancelledError",
    "cancels its task twice": "asyncio.exceptions.CancelledError",
}


async def test_a_step_that_cancels_its_own_task_has_failed(dsn: str) -> None:
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        for how, error in MEDDLING.items():
            row = await ended(run, Baton().add("evil", Meddling(how=how)))
            assert (row.state, row.attempt, row.result) == ("completed", 2, "second"), how
            assert row.error.partition("\n")[0] == error
        # Cancelled, but it returned before it noticed.
        row = await ended(run, Baton().add("evil", Meddling(how="returns")))
        assert (row.attempt, row.result, row.errors) == (1, "first", [])


class Validated(Worker, max_attempts=1):
    how: str = ""

    @field_validator("how")
    @classmethod
    def check(cls, how: str) -> str:
        if how.startswith("raise "):
            raise RAISED[how.removeprefix("raise ")][0]()
        return how

    async def perform(self, step: Step) -> None:
        raise AssertionError("performed with invalid arguments")


@worker(max_attempts=1)
async def typed(step: Step, *, number: int) -> int:
    return number


async def test_arguments_changed_by_hand(dsn: str) -> None:
    cases = {
        "'{}'": "InvalidArgsError: invalid arguments for worker",
        '\'{"number": "five"}\'': "InvalidArgsError: invalid arguments for worker",
        '\'{"number": 1, "more": 2}\'': "InvalidArgsError",
        "'[1, 2]'": "InvalidArgsError",
        "'null'": "InvalidArgsError",
        "'\"text\"'": "InvalidArgsError",
        "'5'": "InvalidArgsError",
        "('{\"number\": ' || repeat('9', 5000) || '}')::jsonb": "InvalidArgsError",
        "(repeat('[', 3000) || repeat(']', 3000))::jsonb": "InvalidArgsError",
        "to_jsonb(repeat('x', 50000000))": "InvalidArgsError",
    }
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        for args, error in cases.items():
            workflow = Baton().add("evil", typed.new(number=1), schedule_in=1_000)
            await run.insert(workflow)
            await run.tables.change(workflow, "evil", args=args, state="'available'")
            run.engine.queue("default").resume()
            await run.end(workflow)
            row = await run.tables.step(workflow, "evil")
            assert row.state == "discarded", args
            assert error in row.error, args
            await survived(run)


async def test_validators_that_raise_anything(dsn: str) -> None:
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        for how in ("cancelled", "keyboard", "exit", "timeout", "silent", "serialization", "base"):
            workflow = Baton().add("evil", Validated(), schedule_in=1_000)
            await run.insert(workflow)
            args = f"""'{{"how": "raise {how}"}}'"""
            await run.tables.change(workflow, "evil", args=args, state="'available'")
            run.engine.queue("default").resume()
            await run.end(workflow)
            row = await run.tables.step(workflow, "evil")
            assert row.state == "discarded", how
            assert row.error.startswith(RAISED[how][1]), how
            await survived(run)


async def test_an_unknown_worker_fails_its_step(dsn: str) -> None:
    names = ["os.system", "missing.Worker", "Oban.Worker", "x" * 5_000, "a b;c"]
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        for name in names:
            workflow = Baton().add("evil", sentinel.new(), schedule_in=1_000, max_attempts=1)
            await run.insert(workflow)
            await run.tables.change(workflow, "evil", worker=f"'{name}'", state="'available'")
            run.engine.queue("default").resume()
            await run.end(workflow)
            row = await run.tables.step(workflow, "evil")
            assert row.state == "discarded"
            assert "UnknownWorkerError: no worker named" in row.error
            await survived(run)


@worker(max_attempts=1)
async def meta_of(step: Step) -> list[Any]:
    return [step.workflow_name, step.name, len(step.meta)]


@worker(max_attempts=1)
def meta_in_a_thread(step: SyncStep) -> list[Any]:
    return [step.workflow_name, step.name, len(step.meta)]


# What is no longer a step's job, because its meta does not name the step.
NAMELESS = [
    "'{}'",
    "'[]'",
    "'null'",
    "'\"text\"'",
    "'17'",
    '\'{"workflow_label": {"a": 1}}\'',
    '\'{"workflow_label": 5, "workflow_id": "nonsense", "workflow_name": []}\'',
    "('{\"n\": ' || repeat('9', 5000) || '}')::jsonb",
    "(repeat('[', 3000) || repeat(']', 3000))::jsonb",
]
# What still names it, in strange company.
ODD = [
    "meta - 'workflow_label'",
    'meta || \'{"workflow_label": {"a": 1}}\'',
    'meta || \'{"workflow_label": 5, "trace_context": [], "more": null}\'',
]


async def with_meta(run: Run, meta: str) -> Baton:
    """A workflow whose jobs' meta somebody else wrote, about to be performed."""
    workflow = Baton(workflow_name="label")
    workflow.add("evil", meta_of.new(), schedule_in=1_000)
    workflow.add("thread", meta_in_a_thread.new(), schedule_in=1_000)
    workflow.add("hooked", Hooked(), deps=["evil"], schedule_in=1_000)
    await run.insert(workflow)
    for name in ("hooked", "thread", "evil"):
        await run.tables.change(workflow, name, meta=meta)
        await run.tables.change(workflow, name, state="'available'", scheduled_at=NOW)
    run.engine.queue("default").resume()
    return workflow


async def test_an_odd_meta_that_names_the_step(dsn: str) -> None:
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        for meta in ODD:
            workflow = await with_meta(run, meta)
            await run.end(workflow)
            for name in ("evil", "thread"):
                row = await run.tables.step(workflow, name)
                assert row.errors == [], meta
                assert row.result[:2] == [None, name], meta
                (event,) = run.events.of(StepCompleted, step=name, workflow_id=workflow.workflow_id)
                assert event.workflow_name is None
            await survived(run)


async def test_a_meta_that_does_not_name_the_step(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its job is performed as one outside workflows; the step's job counts as gone."""
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        for number, meta in enumerate(NAMELESS, 1):
            workflow = await with_meta(run, meta)
            await run.events.until(StepCompleted, 3 * number + number - 1)
            for name in ("evil", "thread", "hooked"):
                row = await run.tables.step(workflow, name)
                assert (row.state, row.errors, row.stored) == ("completed", [], False), meta
            await Plugin().sweep(run.engine.database)
            completion = await run.end(workflow)
            assert set(completion.failed_steps) == {"evil", "thread", "hooked"}
            await survived(run)
    assert "does not name that workflow" in caplog.text


class Hooked(Worker):
    async def perform(self, step: Step) -> None:
        return None


async def test_a_job_that_is_no_step_is_performed_too(dsn: str) -> None:
    async with running(dsn, queues=ONE_AT_A_TIME) as run:
        await run.tables.execute(
            "INSERT INTO baton.oban_jobs (worker, args, max_attempts) VALUES "
            "('support.apart.nothing', '{}', 1), ($1, '{\"number\": 3}', 1), "
            '($2, \'{"how": "raise exit"}\', 1), ($3, \'{"how": "cancels its task"}\', 2)',
            held_spec(typed).name,
            spec_of(Thread).name,
            spec_of(Meddling).name,
        )
        run.engine.queue("default").resume()
        await survived(run)
        await run.events.until(StepCompleted, 3)
        rows = "SELECT string_agg(state::text, ' ' ORDER BY id) FROM baton.oban_jobs WHERE id < 5"
        assert await run.tables.value(rows) == "discarded completed discarded completed"
        ours = [event for event in run.events.of(StepEvent) if event.workflow_id is None]
        assert {event.step for event in ours} == {None}
