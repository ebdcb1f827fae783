"""What lists says when it was cut, and asks its filters before it cuts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from baton import Baton, SyncStep, WaitingStep, insert_all, worker
from baton.errors import InvalidNameError, InvalidOptionError
from baton.insights import Page
from support.running import running
from support.waiting import eventually

OTHERS = 130


def order(number: int) -> Baton:
    return Baton(workflow_name="order").wait(
        "paid", any_of=[f"paid {number}"], correlation_key=f"k{number}"
    )


def article() -> Baton:
    return Baton(workflow_name="article").wait("review", any_of=["decision"], prompt="May it?")


async def whole(ask: Callable[[str | None], Awaitable[Page[Any]]]) -> list[Any]:
    """All pages; every one that is cut says so."""
    page = await ask(None)
    rows = list(page)
    while page.next is not None:
        page = await ask(page.next)
        rows += page
    return rows


async def test_one_approval_among_many_waits_is_found(dsn: str) -> None:
    approval = article()
    async with running(dsn) as run:
        await insert_all([order(number) for number in range(OTHERS)], engine=run.engine)
        await run.insert(approval)

        async def armed() -> bool:
            count = "SELECT count(*) FROM baton.workflow_wait_groups WHERE status = 'pending'"
            return bool(await run.tables.value(count) == OTHERS + 1)

        await eventually(armed)
        first = await run.engine.insights.waiting_steps()
        assert len(first) == 100
        assert first.next is not None
        rest = await run.engine.insights.waiting_steps(after=first.next)
        assert len(rest) == OTHERS + 1 - 100
        assert rest.next is None
        everything = [*first, *rest]
        assert len({step.wait_id for step in everything}) == OTHERS + 1
        assert everything == await whole(
            lambda after: run.engine.insights.waiting_steps(limit=7, after=after)
        )
        exact = await run.engine.insights.waiting_steps(limit=OTHERS + 1)
        assert (exact.rows, exact.next) == (tuple(everything), None)

        async def found(**wanted: Any) -> list[WaitingStep]:
            page = await run.engine.insights.waiting_steps(limit=1, **wanted)
            assert page.next is None
            return list(page)

        (review,) = await found(prompted=True)
        assert (review.step, review.workflow_id) == ("review", approval.workflow_id)
        for wanted in (
            {"event": "decision"},
            {"workflow_name": "article"},
            {"workflow_id": approval.workflow_id},
            {"workflow_id": approval.workflow_id, "prompted": True, "event": "decision"},
        ):
            assert await found(**wanted) == [review]
        (paid,) = await found(correlation_key="k129")
        assert paid.names == ("paid 129",)
        assert await found(event="paid 129", prompted=False, workflow_name="order") == [paid]
        assert await found(workflow_id=approval.workflow_id, prompted=False) == []
        others = await whole(
            lambda after: run.engine.insights.waiting_steps(prompted=False, limit=50, after=after)
        )
        assert len(others) == OTHERS


async def test_a_page_of_one_workflow_is_cut_too(dsn: str) -> None:
    workflow = Baton()
    for number in range(12):
        workflow.wait(f"w{number}", any_of=["x"], prompt="?" if number % 2 else None)
    async with running(dsn) as run:
        await run.insert(workflow)

        async def ask(after: str | None, **wanted: Any) -> Page[WaitingStep]:
            return await run.engine.insights.waiting_steps(
                workflow.workflow_id, limit=5, after=after, **wanted
            )

        async def armed() -> bool:
            return len(await whole(ask)) == 12

        await eventually(armed)
        assert [s.step for s in await whole(ask)] == [f"w{number}" for number in range(12)]
        assert len(await ask(None)) == 5
        prompted = await whole(lambda after: ask(after, prompted=True))
        assert [s.step for s in prompted] == [f"w{number}" for number in range(1, 12, 2)]
        await run.engine.workflow(workflow.workflow_id).cancel()


async def test_a_settled_step_whose_wait_is_open_shortens_no_page(dsn: str) -> None:
    workflow = Baton()
    for number in range(6):
        workflow.wait(f"w{number}", any_of=["x"])
    async with running(dsn) as run:
        await run.insert(workflow)

        async def armed() -> bool:
            return len(await run.engine.insights.waiting_steps()) == 6

        await eventually(armed)
        # As it is for a moment when a step ended behind Baton's back.
        await run.tables.execute(
            "UPDATE baton.workflow_nodes SET state = 'cancelled' WHERE name IN ('w0', 'w1', 'w2')"
        )
        for given in (None, workflow.workflow_id):
            page = await run.engine.insights.waiting_steps(given, limit=2)
            assert [step.step for step in page] == ["w3", "w4"]
            assert page.next is not None
            page = await run.engine.insights.waiting_steps(given, limit=2, after=page.next)
            assert ([step.step for step in page], page.next) == (["w5"], None)
        await run.tables.execute("UPDATE baton.workflow_nodes SET state = NULL")
        await run.engine.workflow(workflow.workflow_id).cancel()


@worker(max_attempts=1)
def captures(step: SyncStep) -> None:
    for number in range(11):
        step.capture("number", number)


async def test_captures_say_that_there_are_more(dsn: str) -> None:
    workflow = Baton(debug=True).add("a", captures.new())
    async with running(dsn) as run:
        await run.completed(workflow)
        page = await run.engine.workflow(workflow.workflow_id).captures(limit=10)
        assert (len(page), page.next is None) == (10, False)
        rest = await run.engine.workflow(workflow.workflow_id).captures(limit=10, after=page.next)
        assert ([entry.content for entry in rest], rest.next) == ([10], None)
        exact = await run.engine.workflow(workflow.workflow_id).captures(limit=11)
        assert (len(exact), exact.next) == (11, None)
        for wrong in ("", "5", "x-y", 7):
            with pytest.raises(InvalidOptionError, match="the `next` of the page before"):
                await run.engine.workflow(workflow.workflow_id).captures(after=wrong)  # type: ignore[arg-type]


async def test_wrong_filters_are_refused(dsn: str) -> None:
    wrong: list[dict[str, Any]] = [
        {"prompted": 1},
        {"event": ""},
        {"correlation_key": 5},
        {"workflow_name": "a\nb"},
        {"after": 5},
        {"after": "-1"},
        {"after": "x"},
        {"limit": 0},
    ]
    async with running(dsn) as run:
        for given in wrong:
            with pytest.raises((InvalidOptionError, InvalidNameError)):
                await run.engine.insights.waiting_steps(**given)
