"""What the insights tell of workflows, steps, queues and engines."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import pytest

from baton import Baton, BatonError, Engine
from baton.errors import (
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    UnknownStepError,
    UnknownWorkflowError,
)
from baton.insights import Insights, Page, StepCounts, WorkflowRow, WorkflowState
from baton.store import insights as store
from support.looking import noop, sight

NOBODY = UUID(int=0)


def named(name: str | None = None, steps: int = 1) -> Baton:
    workflow = Baton(workflow_name=name)
    for number in range(steps):
        workflow.add(f"s{number}", noop.new())
    return workflow


def ids(*workflows: Baton) -> list[UUID]:
    return [workflow.workflow_id for workflow in workflows]


async def every(look: Insights, *args: Any, limit: int = 50) -> list[list[UUID]]:
    """The workflows of all pages of a list, page by page."""
    pages: list[list[UUID]] = []
    after = None
    while True:
        page = await look.workflows(*args, after=after, limit=limit)
        pages.append([row.workflow_id for row in page.rows])
        if page.next is None:
            return pages
        after = page.next


async def test_workflows_are_listed_newest_first(dsn: str) -> None:
    async with sight(dsn) as seen:
        assert await seen.look.workflows() == Page((), None)
        first, second, third = named("old"), named("ü", 3), named()
        for workflow in (first, second, third):
            await seen.insert(workflow)
        await seen.end(second, "failed")
        page = await seen.look.workflows()
        assert [row.workflow_id for row in page.rows] == ids(third, second, first)
        assert page.next is None
        running, failed = page.rows[0], page.rows[1]
        assert isinstance(failed, WorkflowRow)
        assert (failed.workflow_name, failed.state) == ("ü", WorkflowState.FAILED)
        assert (failed.total_count, failed.outstanding_count, failed.failed_count) == (3, 0, 1)
        assert failed.finished_at == failed.inserted_at + timedelta(seconds=2)
        assert failed.duration == 2.0
        assert failed.inserted_at.tzinfo is UTC
        assert (running.workflow_name, running.state, running.finished_at) == (
            None,
            WorkflowState.RUNNING,
            None,
        )
        assert (running.total_count, running.outstanding_count, running.failed_count) == (1, 1, 0)
        assert 0 <= running.duration < 30


async def test_states_and_labels_choose(dsn: str) -> None:
    async with sight(dsn) as seen:
        flows = [named(name) for name in ("a", "b", None) for _ in range(3)]
        await seen.insert(*flows)
        states = ["running", "completed", "failed", "cancelled"] * 2 + ["running"]
        for workflow, state in zip(flows, states, strict=True):
            if state != "running":
                await seen.end(workflow, state)
        for asked in (None, "running", "completed", WorkflowState.FAILED, "cancelled"):
            for label in (None, "a", "b", "none"):
                (found,) = await every(seen.look, asked, label)
                wanted = [
                    workflow
                    for workflow, its in zip(flows, states, strict=True)
                    if asked in (None, its) and label in (None, workflow.workflow_name)
                ]
                assert sorted(found) == sorted(ids(*wanted)), (asked, label)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_pages_hold_each_workflow_once(
    dsn: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those inserted at the same moment, and where one look does not reach far."""
    monkeypatch.setattr(store, "MOST_LOOKED_AT", 3)
    async with sight(dsn) as seen:
        flows = [named("a" if number % 2 else "b") for number in range(11)]
        await seen.insert(*flows[:6])
        for workflow in flows[6:]:
            await seen.insert(workflow)
        ended = {"failed": flows[::3], "completed": flows[1:3], "cancelled": flows[4:6]}
        for outcome, some in ended.items():
            for workflow in some:
                await seen.end(workflow, outcome)
        gone = [workflow for some in ended.values() for workflow in some]
        ended["running"] = [workflow for workflow in flows if workflow not in gone]
        newest = [row.workflow_id for row in (await seen.look.workflows()).rows]
        assert set(newest[:5]) == set(ids(*flows[6:]))
        for state in (None, "running", "completed", "failed", "cancelled"):
            for label in (None, "a", "b"):
                pages = await every(seen.look, state, label, limit=limit)
                wanted = {
                    workflow.workflow_id
                    for workflow in (flows if state is None else ended[state])
                    if label in (None, workflow.workflow_name)
                }
                assert list(chain.from_iterable(pages)) == [
                    one for one in newest if one in wanted
                ], (state, label)
                assert max(map(len, pages)) <= limit


async def test_what_is_inserted_between_two_pages_moves_nothing(dsn: str) -> None:
    async with sight(dsn) as seen:
        flows = [named() for _ in range(4)]
        for workflow in flows:
            await seen.insert(workflow)
        first = await seen.look.workflows(limit=2)
        await seen.insert(named())
        await seen.execute("DELETE FROM baton.workflows WHERE id = $1", first.rows[1].workflow_id)
        second = await seen.look.workflows(limit=2, after=first.next)
        assert [row.workflow_id for row in second.rows] == ids(flows[1], flows[0])
        assert second.next is None


async def test_a_workflow_with_its_steps_counted(dsn: str) -> None:
    async with sight(dsn) as seen:
        workflow = named("nine", 9)
        await seen.insert(workflow, named("other", 3))
        await seen.settle(workflow, "s0", "completed")
        await seen.settle(workflow, "s1", "cancelled")
        await seen.settle(workflow, "s2", "discarded")
        for name, state in (
            ("s1", "available"),  # retried by hand: the step stays settled
            ("s3", "executing"),
            ("s4", "retryable"),
            ("s5", "scheduled"),
            ("s6", "suspended"),
        ):
            await seen.tables.change(workflow, name, state=f"'{state}'")
        await seen.tables.execute(
            "DELETE FROM baton.oban_jobs WHERE meta ->> 'workflow_name' IN ('s0', 's8')"
        )
        detail = await seen.look.workflow(str(workflow.workflow_id))
        assert detail.counts == StepCounts(
            available=1,
            suspended=1,
            scheduled=1,
            executing=1,
            retryable=1,
            completed=1,
            discarded=1,
            cancelled=1,
            gone=1,
        )
        assert detail.completion is None
        (listed,) = (await seen.look.workflows(workflow_name="nine")).rows
        assert 0 <= detail.workflow.duration < 30
        assert detail.workflow.state is WorkflowState.RUNNING
        assert detail.workflow.inserted_at == listed.inserted_at


async def test_a_workflow_that_has_ended_even_when_only_its_completion_is_left(dsn: str) -> None:
    async with sight(dsn) as seen:
        workflow = named("ended", 2)
        await seen.insert(workflow)
        await seen.end(workflow, "failed")
        detail = await seen.look.workflow(workflow.workflow_id)
        assert detail.completion is not None
        assert (str(detail.completion.outcome), str(detail.workflow.state)) == ("failed", "failed")
        assert (detail.workflow,) == (await seen.look.workflows()).rows
        for table in ("workflows", "workflow_nodes", "oban_jobs"):
            await seen.execute(f"DELETE FROM baton.{table}")
        left = await seen.look.workflow(workflow.workflow_id)
        assert (left.workflow, left.completion) == (detail.workflow, detail.completion)
        assert left.counts == StepCounts()
        assert await seen.look.steps(workflow.workflow_id) == Page((), None)


async def test_steps_in_the_order_they_were_added(dsn: str) -> None:
    async with sight(dsn) as seen:
        workflow = (
            Baton()
            .add("z", noop.new(), queue="io", max_attempts=3)
            .add("a", noop.new(), deps=["z"])
            .add("é", noop.new(), deps=["a", "z"])
            .add("b", noop.new(), deps=["z"])
        )
        await seen.insert(named(steps=3), workflow, named(steps=3))
        await seen.settle(workflow, "z", "completed")
        await seen.tables.change(
            workflow,
            "z",
            attempt=2,
            attempted_at="'2026-01-02 03:04:05'",
            completed_at="'2026-01-02 03:04:06'",
        )
        await seen.execute(
            "UPDATE baton.workflow_nodes SET result = '{\"value\":null}' WHERE name = 'z'"
        )
        long = "é" * 5_000
        await seen.tables.change(
            workflow,
            "a",
            state="'cancelled'",
            errors=f"""'[{{"error":"first"}},{{"error":"{long}"}}]'""",
        )
        await seen.execute("DELETE FROM baton.oban_jobs WHERE meta ->> 'workflow_name' = 'b'")
        page = await seen.look.steps(workflow.workflow_id)
        assert page.next is None
        z, a, e, b = page.rows
        assert [row.name for row in page.rows] == ["z", "a", "é", "b"]
        assert [row.dependencies for row in page.rows] == [(), ("z",), ("a", "z"), ("z",)]
        assert (z.worker, z.queue, z.job_state, z.settled) == (
            "looking.noop",
            "io",
            "completed",
            "completed",
        )
        assert (z.attempt, z.max_attempts, z.has_result, z.error) == (2, 3, True, None)
        assert z.attempted_at is not None
        assert z.attempted_at.isoformat() == "2026-01-02T03:04:05+00:00"
        assert z.finished_at == z.attempted_at + timedelta(seconds=1)
        assert z.scheduled_at is not None
        assert a.error is not None
        assert len(a.error.encode()) <= 2_000
        assert a.error.startswith("ééé")
        assert a.error.endswith("(cut)")
        assert (a.job_state, a.settled, a.has_result) == ("cancelled", None, False)
        assert (e.job_state, e.settled, e.attempted_at, e.finished_at) == (
            "suspended",
            None,
            None,
            None,
        )
        assert (b.worker, b.queue, b.job_state, b.attempt, b.scheduled_at) == (None,) * 5
        after, names = None, []
        for _ in range(2):
            page = await seen.look.steps(workflow.workflow_id, after=after, limit=2)
            names.append([row.name for row in page.rows])
            after = page.next
        assert (names, after) == ([["z", "a"], ["é", "b"]], None)


async def test_queues_count_what_has_not_ended(dsn: str) -> None:
    async with sight(dsn) as seen:
        assert await seen.look.queues() == ()
        await seen.execute(
            """
            INSERT INTO baton.oban_jobs (state, queue, worker, scheduled_at, attempted_at)
            SELECT s.state::baton.oban_job_state, s.queue, 'w',
                timezone('UTC', clock_timestamp()) - make_interval(secs => s.due),
                timezone('UTC', clock_timestamp()) - make_interval(secs => s.began)
            FROM (VALUES
                ('available', 'io', 30, NULL), ('available', 'io', 900, NULL),
                ('suspended', 'io', 9000, NULL), ('executing', 'io', 9000, 60),
                ('executing', 'io', 9000, 7), ('retryable', 'io', -50, 10),
                ('scheduled', 'later', -50, NULL), ('completed', 'io', 9000, 9000),
                ('completed', 'ended', 9000, 9000), ('cancelled', 'ended', 9000, 9000),
                ('discarded', 'ended', 9000, 9000)
            ) AS s (state, queue, due, began)
            """
        )
        io, later = await seen.look.queues()
        assert (io.queue, io.available, io.suspended, io.executing) == ("io", 2, 1, 2)
        assert (io.retryable, io.scheduled) == (1, 0)
        assert io.available_for == pytest.approx(900, abs=20)
        assert io.executing_for == pytest.approx(60, abs=20)
        assert (later.queue, later.scheduled, later.available) == ("later", 1, 0)
        assert (later.available_for, later.executing_for) == (None, None)


async def test_engines_live_and_silent(dsn: str) -> None:
    async with sight(dsn) as seen:
        silent = await seen.engine(silent_for=100)
        patient = await seen.engine(silent_for=100, rescue_after=200)
        async with Engine(dsn, name="zoo", node="here", queues={"default": 1}) as engine:
            first, second, third = await seen.look.engines()
        assert {first.engine_id: first.live, second.engine_id: second.live} == {
            silent: False,
            patient: True,
        }
        assert first.silent_for == pytest.approx(100, abs=20)
        assert (third.engine_id, third.name, third.node) == (engine.engine_id, "zoo", "here")
        assert (third.live, third.rescue_after) == (True, 60.0)
        assert third.seen_at >= third.started_at
        assert len(await seen.look.engines()) == 2


Question = Callable[[Insights], Coroutine[Any, Any, object]]


@pytest.mark.parametrize(
    ("question", "error", "words"),
    [
        (
            lambda look: look.workflows("done"),
            InvalidOptionError,
            "running, completed, failed or cancelled",
        ),
        (
            lambda look: look.workflows([]),
            InvalidOptionError,
            "running, completed, failed or cancelled",
        ),
        (lambda look: look.workflows(limit=0), InvalidOptionError, "from 1 to 1000"),
        (lambda look: look.workflows(limit=1001), InvalidOptionError, "from 1 to 1000"),
        (lambda look: look.workflows(limit=True), InvalidOptionError, "from 1 to 1000"),
        (lambda look: look.workflows(limit="1"), InvalidOptionError, "from 1 to 1000"),
        (lambda look: look.workflows(workflow_name="a\0"), InvalidNameError, "control"),
        (lambda look: look.workflows(workflow_name=7), InvalidNameError, "a text"),
        (lambda look: look.workflows(after="x"), InvalidOptionError, "the page before"),
        (lambda look: look.workflows(after=f"{10**30}-{'0' * 32}"), InvalidOptionError, "page"),
        (lambda look: look.workflows(after=7), InvalidOptionError, "the page before"),
        (lambda look: look.steps(NOBODY, after="-1"), InvalidOptionError, "the page before"),
        (lambda look: look.steps(NOBODY, after="²"), InvalidOptionError, "the page before"),
        (lambda look: look.steps(NOBODY, after="9" * 30), InvalidOptionError, "page before"),
        (lambda look: look.steps(NOBODY, after=7), InvalidOptionError, "the page before"),
        (lambda look: look.steps(NOBODY, limit=0), InvalidOptionError, "from 1 to 1000"),
        (lambda look: look.steps("x"), InvalidArgumentError, "a UUID"),
        (lambda look: look.workflow("x"), InvalidArgumentError, "a UUID"),
        (lambda look: look.why("x", "a"), InvalidArgumentError, "a UUID"),
        (lambda look: look.why(NOBODY, ""), InvalidNameError, "1 to 255"),
        (lambda look: look.why(NOBODY, None), InvalidNameError, "a text"),
        (lambda look: look.workflow(NOBODY), UnknownWorkflowError, str(NOBODY)),
        (lambda look: look.steps(NOBODY), UnknownWorkflowError, str(NOBODY)),
        (lambda look: look.steps(NOBODY, after="1"), UnknownWorkflowError, str(NOBODY)),
        (lambda look: look.why(NOBODY, "a"), UnknownWorkflowError, str(NOBODY)),
    ],
)
async def test_what_cannot_be_answered(
    dsn: str, question: Question, error: type[BatonError], words: str
) -> None:
    async with sight(dsn) as seen:
        await seen.insert(named())
        with pytest.raises(error, match=words):
            await question(seen.look)


async def test_a_step_of_another_workflow_is_unknown(dsn: str) -> None:
    async with sight(dsn) as seen:
        one, other = Baton().add("one", noop.new()), Baton().add("other", noop.new())
        await seen.insert(one, other)
        with pytest.raises(UnknownStepError) as caught:
            await seen.look.why(one.workflow_id, "other")
        assert (caught.value.workflow_id, caught.value.step) == (one.workflow_id, "other")
