"""Handles: one workflow and one queue of an engine, and what a workflow that was inserted gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest

from baton import (
    Baton,
    Delivery,
    Engine,
    QueueHandle,
    Step,
    WorkflowHandle,
    insert_all,
    worker,
)
from baton.errors import (
    EngineStateError,
    InvalidArgumentError,
    NoEngineError,
    UnknownWorkflowError,
)
from baton.settling.completion_waiters import CompletionWaiters
from baton.store.store import store_of
from support.inserting import Client
from support.running import fast, running
from support.waiting import DEADLINE
from support.waits import until_waits


@worker(name="handles.works")
async def works(step: Step) -> int:
    await step.record_usage(model="house", input_tokens=3)
    await step.capture("seen", step.name)
    return 7


def asking() -> Baton:
    return (
        Baton(debug=True)
        .add("works", works.new())
        .wait("review", any_of=["decision"], deps=["works"])
        .wait("other", any_of=["never"], deps=["works"])
    )


async def test_a_handle_answers_for_its_workflow_alone(dsn: str) -> None:
    workflow, beside = asking(), asking()
    async with running(dsn) as run:
        await insert_all([workflow, beside], engine=run.engine)
        for one in (workflow, beside):
            await until_waits(run.tables, one, 2)
        handle = run.engine.workflow(str(workflow.workflow_id))
        assert handle.workflow_id == workflow.workflow_id
        assert repr(handle) == f"<WorkflowHandle {workflow.workflow_id} of engine 'default'>"

        assert await handle.result("works", int) == 7
        assert (await handle.status()).workflow.workflow_id == workflow.workflow_id
        assert [row.name for row in await handle.steps()] == ["works", "review", "other"]
        assert [row.name for row in await handle.steps(state="completed")] == ["works"]
        assert (await handle.usage()).input_tokens == 3
        assert [entry.content for entry in await handle.captures(step="works")] == ["works"]

        assert {step.step for step in await handle.waiting_steps()} == {"review", "other"}
        (waiting,) = await handle.waiting_steps(event="decision")
        assert (waiting.workflow_id, waiting.step) == (workflow.workflow_id, "review")
        assert len(await run.engine.insights.waiting_steps(event="decision")) == 2

        assert await handle.send_event("decision", {"by": "ada"}) is Delivery.SETTLED
        assert await handle.cancel_wait("other", "nobody asks")
        end = await handle.completion(timeout=DEADLINE)
        assert end == await workflow.completion(timeout=DEADLINE)
        assert end.failed_steps == ("other",)
        assert await handle.cancel() == 0
        assert len(await beside.handle().waiting_steps()) == 2
        assert await beside.handle().cancel("done") == 2


async def test_an_unknown_workflow_is_noticed_by_the_call(dsn: str) -> None:
    async with fast(dsn) as engine:
        handle = engine.workflow(uuid4())
        for call in (handle.completion, handle.status, handle.steps, handle.cancel, handle.usage):
            with pytest.raises(UnknownWorkflowError):
                await call()
        with pytest.raises(InvalidArgumentError):
            engine.workflow("nobody")


async def test_a_workflow_remembers_the_engine_that_inserted_it(dsn: str, client: Client) -> None:
    first, second = asking(), asking()
    with pytest.raises(InvalidArgumentError, match="an Engine"):
        first.handle(engine=client)
    async with fast(dsn, name="left") as left, fast(dsn, name="right") as right:
        await first.insert(engine=left)
        await insert_all([second], engine="right")
        assert repr(first.handle()).endswith("of engine 'left'>")
        assert repr(second.handle()).endswith("of engine 'right'>")
        assert repr(second.handle(engine="left")).endswith("of engine 'left'>")
        assert repr(asking().handle(engine=right)).endswith("of engine 'right'>")
        for workflow in (first, second):
            assert await workflow.handle().cancel() > 0
    with pytest.raises(EngineStateError, match="completion needs a running engine"):
        await first.completion()


async def test_without_an_engine_there_is_no_handle() -> None:
    with pytest.raises(NoEngineError):
        asking().handle()


QUEUE_CALLS: dict[str, Callable[[QueueHandle], None]] = {
    "pause": lambda queue: queue.pause(),
    "resume": lambda queue: queue.resume(),
    "scale": lambda queue: queue.scale(2),
}


@pytest.mark.parametrize("name", QUEUE_CALLS)
async def test_a_queue_of_an_engine_that_does_not_run(dsn: str, name: str) -> None:
    engine = fast(dsn)
    queue = engine.queue("default")
    assert repr(queue) == "<QueueHandle 'default' of engine 'default'>"
    for state in ("new", "stopped"):
        with pytest.raises(EngineStateError) as caught:
            QUEUE_CALLS[name](queue)
        assert (caught.value.call, caught.value.state) == (name, state)
        with pytest.raises(EngineStateError) as caught:
            _ = engine.insights
        assert (caught.value.call, caught.value.state) == ("insights", state)
        if state == "new":
            async with engine:
                QUEUE_CALLS[name](queue)


def test_there_is_one_way_to_each_thing() -> None:
    moved = {
        *(name for name in dir(WorkflowHandle) if not name.startswith("_")),
        *(name for name in vars(QueueHandle) if not name.startswith("_")),
    }
    assert {"completion", "result", "cancel", "pause", "resume", "scale"} <= moved
    assert moved & set(dir(Engine)) == {"name"}


async def test_who_asks_while_the_engine_closes_does_not_wait_for_ever(client: Client) -> None:
    waiters = CompletionWaiters(store_of(client), ())
    waiting = asyncio.create_task(waiters.wait(uuid4(), None))
    await asyncio.sleep(0)  # it has begun, and has not looked yet
    await waiters.stop()
    for call in (waiting, waiters.wait(uuid4(), None)):
        with pytest.raises(EngineStateError, match="completion needs a running engine"):
            await asyncio.wait_for(call, DEADLINE)
