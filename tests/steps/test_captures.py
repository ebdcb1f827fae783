"""The debug log: kept when asked for, at no cost when not."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

import pytest

from baton import Baton, Discard, Engine, Step, SyncStep, worker
from baton.errors import InvalidNameError, InvalidOptionError, NotStorableError, TooLargeError
from baton.steps.step import notes_of, step_of, sync_step_of
from support.running import running
from support.untouched import Untouchable, claimed

CONTENTS: list[Any] = [
    None,
    "text",
    0,
    [],
    {"messages": [{"role": "user", "content": "ключ \U0001f600"}], "temperature": 0.5},
]


@worker(max_attempts=2, backoff=0)
async def captures(step: Step) -> None:
    for number, content in enumerate(CONTENTS):
        await step.capture(f"context {number}", content)
    if step.attempt == 1:
        raise ValueError("again")


@worker(max_attempts=1)
def captures_in_a_thread(step: SyncStep) -> None:
    step.capture("context", {"of": step.name})


def workflow_of(*, debug: bool) -> Baton:
    return Baton(debug=debug).add("a", captures.new()).add("b", captures_in_a_thread.new())


@pytest.mark.parametrize(("of_workflow", "of_engine"), [(True, False), (False, True)])
async def test_what_is_captured_is_read_back(dsn: str, of_workflow: bool, of_engine: bool) -> None:
    workflow = workflow_of(debug=of_workflow)
    async with running(dsn, debug=of_engine) as run:
        await run.workflow(workflow)
        found = await run.engine.workflow(workflow.workflow_id).captures(step="a")
        assert [(entry.attempt, entry.label, entry.content) for entry in found] == [
            (attempt, f"context {number}", content)
            for attempt in (1, 2)
            for number, content in enumerate(CONTENTS)
        ]
        assert {entry.workflow_id for entry in found} == {workflow.workflow_id}
        assert [entry.recorded_at for entry in found] == sorted(e.recorded_at for e in found)
        (entry,) = await run.engine.workflow(str(workflow.workflow_id)).captures(step="b")
        assert (entry.step, entry.content) == ("b", {"of": "b"})


async def test_without_debug_nothing_is_written(dsn: str) -> None:
    workflow = workflow_of(debug=False)
    async with running(dsn) as run:
        await run.workflow(workflow)
        assert await run.tables.value("SELECT count(*) FROM baton.workflow_debug_logs") == 0


async def test_without_debug_nothing_is_asked_or_looked_at() -> None:
    database: Any = Untouchable()
    settings = Engine("postgresql://x").settings
    step = step_of(claimed(None), database, settings)
    assert not step.debug
    await step.capture("", object())
    thread = await sync_step_of(claimed(None), database, settings)
    thread.capture("", object())
    assert notes_of(thread).captures == []


async def test_what_cannot_be_captured_is_told() -> None:
    database: Any = Untouchable()
    settings = Engine("postgresql://x", debug=True, capture_limit=100).settings
    step = step_of(claimed(None), database, settings)
    with pytest.raises(InvalidNameError, match="label"):
        await step.capture("", 1)
    with pytest.raises(NotStorableError, match="the capture cannot be stored"):
        await step.capture("x", object())
    with pytest.raises(NotStorableError, match="NUL"):
        await step.capture("x", "a\0b")
    with pytest.raises(TooLargeError, match=r"the capture .* the limit is 100") as caught:
        await step.capture("x", "x" * 99)
    assert (caught.value.size, caught.value.limit) == (101, 100)
    thread = await sync_step_of(claimed(None), database, settings)
    with pytest.raises(TooLargeError):
        thread.capture("x", "x" * 99)
    thread.capture("x", "x" * 98)


async def test_a_database_that_refuses_hurts_no_step(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = Baton(debug=True).add("b", captures_in_a_thread.new())
    async with running(dsn) as run:
        await run.tables.execute("DROP TABLE baton.workflow_debug_logs")
        await run.completed(workflow)
    assert "captures ['context'] of job" in caplog.text


async def test_the_log_is_read_in_pages(dsn: str) -> None:
    @worker(max_attempts=1)
    def many(step: SyncStep) -> None:
        for number in range(25):
            step.capture("number", number)

    workflow = Baton(debug=True).add("a", many.new()).add("b", many.new(), deps=["a"])
    async with running(dsn) as run:
        await run.completed(workflow)
        pages = [await run.engine.workflow(workflow.workflow_id).captures(limit=10)]
        while place := pages[-1].next:
            pages.append(
                await run.engine.workflow(workflow.workflow_id).captures(after=place, limit=10)
            )
        assert [len(page) for page in pages] == [10, 10, 10, 10, 10]
        read = [(entry.step, entry.content) for page in pages for entry in page]
        assert read == [(step, number) for step in "ab" for number in range(25)]
        assert not await run.engine.workflow(uuid4()).captures()
        for wrong in (0, True, 1.5, 10_001):
            with pytest.raises(InvalidOptionError, match="limit"):
                await run.engine.workflow(workflow.workflow_id).captures(limit=cast(int, wrong))


async def test_hooks_see_model_and_debug(dsn: str) -> None:
    @worker(max_attempts=1)
    async def fails(step: Step) -> Discard:
        return Discard("no")

    async def told(step: Step, dependency: str) -> None:
        await step.capture("doomed", [step.model, dependency])

    @worker(on_dep_discarded=told)
    async def doomed(step: Step) -> None: ...

    workflow = Baton(debug=True).add("a", fails.new())
    workflow.add("b", doomed.new(), deps=["a"], model="gpt-4o")
    async with running(dsn) as run:
        await run.workflow(workflow)
    async with running(dsn) as again:
        (entry,) = await again.engine.workflow(workflow.workflow_id).captures()
    assert (entry.step, entry.content) == ("b", ["gpt-4o", "a"])
