"""What steps record of their use of models: every record once, exact, whatever the step does."""

from __future__ import annotations

import asyncio
import decimal
import threading
from collections.abc import AsyncIterator
from dataclasses import fields
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from baton import Baton, Engine, Step, SyncStep, schema, worker
from baton.errors import (
    EngineStateError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    UnknownWorkflowError,
)
from baton.events import StepUsage
from baton.statistics import ModelUsage, WorkflowUsage
from baton.steps import usage as usage_module
from baton.steps.step import notes_of, step_of, sync_step_of
from baton.store.statistics import read_usage, record_usage
from baton.store.store import store_of
from baton.words.rows import Node, UsageRecord
from baton.workers.registry import held_spec
from support.apart import spend_apart
from support.running import Run, running
from support.untouched import Untouchable, claimed
from support.waiting import eventually

MOST = 2**63 - 1
ODD_SCHEMA = 'odd "$$ name'


async def rows(run: Run, workflow: Baton) -> list[dict[str, Any]]:
    found = await run.tables.rows(
        "SELECT * FROM baton.workflow_step_stats WHERE workflow_id = $1 ORDER BY recorded_at, id",
        workflow.workflow_id,
    )
    return [dict(row) for row in found]


def summed(usage: WorkflowUsage | ModelUsage) -> tuple[int, int, int, Decimal, int]:
    return (
        usage.records,
        usage.input_tokens,
        usage.output_tokens,
        usage.cost,
        usage.unpriced,
    )


@worker(name="spends everything")
async def everything(step: Step) -> None:
    await step.record_usage(
        model="gpt-4o",
        provider="openai",
        input_tokens=1_000,
        output_tokens=50,
        cache_read_tokens=300,
        cache_write_tokens=100,
        latency_ms=1_234,
    )


async def test_values_are_stored_and_told_as_given(dsn: str) -> None:
    workflow = Baton(workflow_name="label").add("a", everything.new())
    async with running(dsn) as run:
        await run.completed(workflow)
        (row,) = await rows(run, workflow)
        (event,) = run.events.of(StepUsage)
        age = await run.tables.value(
            "SELECT clock_timestamp() - recorded_at FROM baton.workflow_step_stats"
        )
        usage = await run.engine.workflow(str(workflow.workflow_id)).usage()
        job_id = (await run.tables.step(workflow, "a")).id
    assert 0 <= age.total_seconds() < 30
    cost = row["cost"]
    assert isinstance(cost, Decimal)
    assert cost > 0
    assert (row["job_id"], row["step"], row["attempt"]) == (job_id, "a", 1)
    told = {
        "model": "gpt-4o",
        "provider": "openai",
        "input_tokens": 1_000,
        "output_tokens": 50,
        "cache_read_tokens": 300,
        "cache_write_tokens": 100,
        "latency_ms": 1_234,
        "cost": cost,
    }
    assert {name: row[name] for name in told} == told
    assert {name: getattr(event, name) for name in told} == told
    shared = (event.job_id, event.worker, event.queue, event.state, event.attempt)
    assert shared == (job_id, "spends everything", "default", "executing", 1)
    place = (event.workflow_id, event.workflow_name, event.step)
    assert place == (workflow.workflow_id, "label", "a")
    sums: dict[str, Any] = {**told, "records": 1, "unpriced": 0}
    (model,) = usage.models
    assert {field.name: getattr(model, field.name) for field in fields(model)} == sums
    del sums["model"], sums["provider"]
    sums |= {"workflow_id": workflow.workflow_id, "models": (model,)}
    assert {field.name: getattr(usage, field.name) for field in fields(usage)} == sums


@worker(max_attempts=3, backoff=0)
async def fails_twice(step: Step) -> None:
    await step.record_usage(model="gpt-4o", input_tokens=10**step.attempt)
    if step.attempt < 3:
        raise ValueError("the answer was no JSON")


async def test_every_attempt_counts(dsn: str) -> None:
    workflow = Baton().add("a", fails_twice.new())
    async with running(dsn) as run:
        await run.workflow(workflow)
        assert [(row["attempt"], row["input_tokens"]) for row in await rows(run, workflow)] == [
            (1, 10),
            (2, 100),
            (3, 1_000),
        ]
        assert (await run.engine.workflow(workflow.workflow_id).usage()).input_tokens == 1_110


async def test_tasks_of_one_step_record_at_once(dsn: str) -> None:
    @worker(max_attempts=1)
    async def crowd(step: Step) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(60):
                model = f"model-{number % 3}"
                group.create_task(step.record_usage(model=model, input_tokens=number))

    workflow = Baton().add("a", crowd.new()).add("b", crowd.new())
    async with running(dsn, pool_size=3) as run:
        await run.completed(workflow)
        usage = await run.engine.workflow(workflow.workflow_id).usage()
    assert (usage.records, usage.input_tokens) == (120, 2 * sum(range(60)))
    assert [(used.model, used.records, used.input_tokens) for used in usage.models] == [
        (f"model-{rest}", 40, 2 * sum(range(rest, 60, 3))) for rest in range(3)
    ]


async def test_sums_are_exact(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cost = Decimal("0.12345678901234567890123456789012345678901")
    costs = iter([cost, None, cost, cost])
    monkeypatch.setattr(usage_module, "price", lambda *_, **__: next(costs))

    @worker(max_attempts=1)
    async def spend(step: Step) -> None:
        for _ in range(4):
            await step.record_usage(model="m", input_tokens=MOST, cache_read_tokens=MOST)

    workflow = Baton().add("a", spend.new())
    async with running(dsn) as run:
        await run.completed(workflow)
        with decimal.localcontext(prec=5):
            usage = await run.engine.workflow(workflow.workflow_id).usage()
    with decimal.localcontext(prec=60):
        assert usage.cost == 3 * cost
    assert (usage.input_tokens, usage.cache_read_tokens) == (4 * MOST, 4 * MOST)
    assert (usage.records, usage.unpriced) == (4, 1)
    assert isinstance(usage.input_tokens, int)


async def test_models_are_kept_apart_by_their_provider(dsn: str) -> None:
    @worker(max_attempts=1)
    async def spend(step: Step) -> None:
        for provider in ("openai", None, "azure", "openai"):
            await step.record_usage(model="gpt-4o", provider=provider, input_tokens=1)
        await step.record_usage(model="Z", output_tokens=1)

    workflow = Baton().add("a", spend.new())
    async with running(dsn) as run:
        await run.completed(workflow)
        usage = await run.engine.workflow(workflow.workflow_id).usage()
    assert [(used.model, used.provider, used.records) for used in usage.models] == [
        ("Z", None, 1),
        ("gpt-4o", None, 1),
        ("gpt-4o", "azure", 1),
        ("gpt-4o", "openai", 2),
    ]


async def test_what_is_asked_for_without_records(dsn: str) -> None:
    @worker
    async def idle(step: Step) -> None: ...

    workflow = Baton().add("a", idle.new())
    async with running(dsn) as run:
        await run.completed(workflow)
        usage = await run.engine.workflow(workflow.workflow_id).usage()
        assert summed(usage) == (0, 0, 0, Decimal(0), 0)
        assert usage.models == ()
        with pytest.raises(UnknownWorkflowError):
            await run.engine.workflow(uuid4()).usage()
        with pytest.raises(InvalidArgumentError, match="workflow_id"):
            await run.engine.workflow("nobody").usage()
    with pytest.raises(EngineStateError):
        await run.engine.workflow(workflow.workflow_id).usage()


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"input_tokens": -1}, InvalidOptionError, "input_tokens=-1: expected a whole number from 0"),
    ({"output_tokens": 2**63}, InvalidOptionError, "output_tokens="),
    ({"cache_read_tokens": True}, InvalidOptionError, "cache_read_tokens=True"),
    ({"cache_write_tokens": "5"}, InvalidOptionError, "cache_write_tokens='5'"),
    ({"input_tokens": None}, InvalidOptionError, "input_tokens=None"),
    ({"latency_ms": 12.7}, InvalidOptionError, r"latency_ms=12.7: .*: latency_ms=13"),
    ({"latency_ms": float("nan")}, InvalidOptionError, "latency_ms=nan"),
    ({"latency_ms": -1}, InvalidOptionError, "latency_ms=-1"),
    (
        {"input_tokens": 5, "cache_read_tokens": 3, "cache_write_tokens": 3},
        InvalidOptionError,
        r"at least the 6 cached ones: .*input_tokens=input \+ cache_read \+ cache_write",
    ),
    ({"model": ""}, InvalidNameError, "model name"),
    ({"model": "a\0b"}, InvalidNameError, "model name"),
    ({"model": "x" * 256}, InvalidNameError, "model name"),
    ({"model": 5}, InvalidNameError, "model name"),
    ({"model": None}, InvalidOptionError, "model=None: .*tell model='…'"),
    ({"provider": ""}, InvalidNameError, "provider name"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), WRONG)
async def test_wrong_arguments_raise_and_write_nothing(
    wrong: dict[str, Any], kind: type[Exception], message: str
) -> None:
    job = claimed(None)
    database: Any = Untouchable()
    settings = Engine("postgresql://x").settings
    step = step_of(job, database, settings)
    with pytest.raises(kind, match=message):
        await step.record_usage(**{"model": "gpt-4o", **wrong})
    thread = await sync_step_of(job, database, settings)
    with pytest.raises(kind, match=message):
        thread.record_usage(**{"model": "gpt-4o", **wrong})
    assert notes_of(thread).usage == []


async def test_wrong_arguments_fail_the_step(dsn: str) -> None:
    @worker(max_attempts=1)
    async def wrong(step: Step) -> None:
        await step.record_usage(model="gpt-4o", input_tokens=-1)

    workflow = Baton().add("a", wrong.new())
    async with running(dsn) as run:
        await run.workflow(workflow)
        row = await run.tables.step(workflow, "a")
        assert (row.state, await rows(run, workflow)) == ("discarded", [])
        assert "input_tokens=-1" in row.error


async def test_a_database_that_refuses_is_logged_and_hurts_no_step(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = Baton().add("a", everything.new()).add("b", thread.new(how="well"))
    async with running(dsn) as run:
        await run.tables.execute("DROP TABLE baton.workflow_step_stats")
        await run.completed(workflow)
        assert run.events.of(StepUsage) == []
    logged = [record for record in caplog.records if "was not recorded" in record.message]
    assert len(logged) == 2
    assert "input_tokens=1000" in "".join(record.message for record in logged)


async def test_a_repeated_write_counts_once(dsn: str) -> None:
    async with running(dsn) as run:
        workflow_id = uuid4()
        job = claimed(Node(workflow_id, "a", 0, None, 0, None))
        records = [UsageRecord(uuid4(), "m", None, n, 0, 0, 0, None, None) for n in (1, 10)]
        # The commit of the first happened, its reply was lost.
        await record_usage(store_of(run.engine), job, records[:1])
        await record_usage(store_of(run.engine), job, records)
        assert summed(await read_usage(store_of(run.engine), workflow_id))[:2] == (2, 11)


async def test_a_timeout_that_hits_the_write_loses_nothing(dsn: str) -> None:
    @worker(max_attempts=1, timeout=0.2)
    async def late(step: Step) -> None:
        await step.record_usage(model="gpt-4o", input_tokens=5)

    workflow = Baton().add("a", late.new())
    async with running(dsn) as run:
        await run.tables.execute("BEGIN")
        await run.tables.execute("LOCK TABLE baton.workflow_step_stats")
        await run.workflow(workflow)
        assert "took longer than its timeout" in (await run.tables.step(workflow, "a")).error
        await run.tables.execute("COMMIT")
        assert len(await eventually(lambda: rows(run, workflow))) == 1


@worker(max_attempts=1)
def thread(step: SyncStep, *, how: str) -> None:
    step.record_usage(model="gpt-4o", input_tokens=1)
    if how == "raises":
        raise ValueError("again")
    if how == "hangs":
        HANGING.wait(20)
    step.record_usage(model="gpt-4o", input_tokens=10)


HANGING = threading.Event()


@pytest.mark.parametrize(
    ("how", "timeout", "state", "tokens"),
    [
        ("well", None, "completed", [1, 10]),
        ("raises", None, "discarded", [1]),
        ("hangs", 0.2, "discarded", [1]),
    ],
)
async def test_a_thread_records_too(
    dsn: str, how: str, timeout: float | None, state: str, tokens: list[int]
) -> None:
    HANGING.clear()
    workflow = Baton().add("a", thread.new(how=how), timeout=timeout)
    try:
        async with running(dsn) as run:
            await run.workflow(workflow)
            assert (await run.tables.step(workflow, "a")).state == state
            assert sorted(row["input_tokens"] for row in await rows(run, workflow)) == tokens
            assert len(run.events.of(StepUsage, step="a")) == len(tokens)
            if how == "hangs":
                # The call to the model comes back at last: its tokens were used.
                HANGING.set()
                await run.events.until(StepUsage, step="a", input_tokens=10)
                assert sorted(row["input_tokens"] for row in await rows(run, workflow)) == [1, 10]
    finally:
        HANGING.set()


@pytest.fixture
async def process() -> AsyncIterator[None]:
    yield
    executor = held_spec(spend_apart).executor
    assert executor is not None
    executor().shutdown(cancel_futures=True)


@pytest.mark.usefixtures("process")
async def test_another_process_records_too(dsn: str) -> None:
    workflow = Baton(debug=True).add("a", spend_apart.new(), model="the model")
    async with running(dsn) as run:
        await run.workflow(workflow)
        _, model, debug = (await run.tables.step(workflow, "a")).result
        assert (model, debug) == ("the model", True)
        found = [(row["attempt"], row["input_tokens"]) for row in await rows(run, workflow)]
        assert found == [(1, 10), (2, 20)]
        captures = await run.engine.workflow(workflow.workflow_id).captures()
        assert [entry.content for entry in captures] == [{"attempt": 1}, {"attempt": 2}]
        usage = await run.engine.workflow(workflow.workflow_id).usage()
        assert usage.cost > 0


async def test_a_job_outside_a_workflow_records_too(dsn: str) -> None:
    async with running(dsn, poll_interval=0.05) as run:
        await run.tables.execute("INSERT INTO baton.oban_jobs (worker) SELECT 'spends everything'")
        (event,) = await run.events.until(StepUsage)
        assert (event.workflow_id, event.step) == (None, None)
        (row,) = await run.tables.rows("SELECT * FROM baton.workflow_step_stats")
        assert (row["workflow_id"], row["step"], row["job_id"]) == (None, None, event.job_id)


async def test_a_schema_of_any_name(empty_dsn: str) -> None:
    await schema.migrate(empty_dsn, schema=ODD_SCHEMA)
    workflow = Baton(debug=True)
    workflow.add_models("a", ["gpt-4o", "m'"], capturing.new(), synthesis=by_model.new())
    options: Any = {"queues": {"default": 2}}
    async with Engine(empty_dsn, schema=ODD_SCHEMA, **options) as engine:
        await workflow.insert()
        await engine.workflow(workflow.workflow_id).completion(timeout=20)
        assert await engine.workflow(workflow.workflow_id).result("a") == {"gpt-4o": 1, "m'": 1}
        usage = await engine.workflow(workflow.workflow_id).usage()
        assert [used.model for used in usage.models] == ["gpt-4o", "m'"]
        assert len(await engine.workflow(workflow.workflow_id).captures()) == 2


@worker
async def capturing(step: Step) -> int:
    await step.record_usage(input_tokens=1)
    await step.capture("context", [step.model])
    return 1


@worker
async def by_model(step: Step) -> dict[str, Any]:
    return await step.results_by_model()
