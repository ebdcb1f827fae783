"""Every recipe of docs/waits.md runs."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any
from uuid import uuid4

import httpx
import pytest

from baton import Baton, Delivery, send_event
from baton.errors import InvalidPayloadError
from project.test_docs import DOCS, run
from support.running import running
from support.waits import until_waits


@pytest.fixture
async def page(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page as a module: what a reader gets who copies all of it."""
    monkeypatch.setenv("BATON_DATABASE_URL", dsn)
    module: Any = ModuleType("docs_waits")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    await run(DOCS / "waits.md", module.__dict__)
    yield module
    await module.sql.dispose()


async def test_gates_and_events(dsn: str, page: Any) -> None:
    workflow = page.invoice()
    async with running(dsn) as engine:
        await engine.insert(workflow)
        await until_waits(engine.tables, workflow)
        await send_event(workflow.workflow_id, "legal")
        assert await page.approve(workflow.workflow_id) is Delivery.SETTLED
        await engine.end(workflow)
        assert (
            await engine.engine.workflow(workflow.workflow_id).result("pay")
            == "paid, approved by ada"
        )


async def test_a_wait_inside_a_step(dsn: str, page: Any) -> None:
    workflow = Baton().add("order", page.order.new())
    async with running(dsn) as engine:
        await engine.insert(workflow)
        await send_event(workflow.workflow_id, "delivered")
        await engine.end(workflow)
        assert await engine.engine.workflow(workflow.workflow_id).result("order") == "17: delivered"


async def test_an_approval(dsn: str, page: Any) -> None:
    first, second = page.article("On waiting"), page.article("On haste")
    async with running(dsn) as engine:
        for workflow in (first, second):
            await engine.insert(workflow)
        asked, other = await page.inbox(engine.engine)
        assert asked.prompt == "May 'On waiting' be published?"
        assert asked.payload_schema["*"]["required"] == ["approved", "by"]
        with pytest.raises(InvalidPayloadError):
            await page.decide(asked, {"approved": True})
        assert await page.decide(asked, {"approved": True, "by": "ada"}) is Delivery.SETTLED
        assert await page.withdraw(engine.engine, other)
        await engine.end(first)
        assert (await engine.end(second)).failed_steps == ("review", "publish")
        found = await engine.engine.workflow(first.workflow_id).result("publish")
        assert found == "published, thanks to ada"
        assert await page.inbox(engine.engine) == []


async def test_a_webhook(dsn: str, page: Any) -> None:
    workflow = Baton().wait("paid", all_of=["paid", "sent"], payload_type={"paid": dict[str, int]})
    other = Baton().wait("paid", any_of=["paid"], payload_type=dict[str, str])
    counted = "SELECT count(*) FROM public.payments"
    async with running(dsn, name="worker") as engine:
        await engine.tables.execute(
            "CREATE TABLE public.payments (delivery_id text PRIMARY KEY, amount int)"
        )
        name = await engine.tables.value("SELECT current_database()")
        await engine.tables.execute(f'ALTER DATABASE "{name}" SET search_path TO public')
        for one in (workflow, other):
            await engine.insert(one)
        transport = httpx.ASGITransport(page.app)
        async with (
            page.lifespan(page.app),
            httpx.AsyncClient(transport=transport, base_url="http://web") as client,
        ):

            async def post(workflow_id: object, delivery: str) -> httpx.Response:
                return await client.post(
                    f"/payments/{workflow_id}",
                    params={"amount": 5},
                    headers={"delivery-id": delivery},
                )

            assert (await post(uuid4(), "d0")).status_code == 404
            assert (await post(other.workflow_id, "d0")).status_code == 422
            assert await engine.tables.value(counted) == 0
            assert (await post(workflow.workflow_id, "d1")).json() == "delivered"
            assert (await post(workflow.workflow_id, "d1")).json() == "duplicate"
            await send_event(workflow.workflow_id, "sent", engine="worker")
            await engine.end(workflow)
            assert (await post(workflow.workflow_id, "d1")).json() == "duplicate"
            assert await engine.tables.value(counted) == 1
            assert (await post(workflow.workflow_id, "d2")).status_code == 404
            assert await engine.tables.value(counted) == 1
        await engine.engine.workflow(other.workflow_id).cancel()


async def test_the_first_of_three_suppliers(dsn: str, page: Any) -> None:
    bought, none = page.purchase(3600), page.purchase(0.05)
    async with running(dsn) as engine:
        await engine.insert(bought)
        await until_waits(engine.tables, bought)
        assert await send_event(bought.workflow_id, "south", {"price": 7}) is Delivery.SETTLED
        await engine.end(bought)
        assert await engine.engine.workflow(bought.workflow_id).result("buy") == "south for 7"
        await engine.workflow(none)
        assert await engine.engine.workflow(none.workflow_id).result("buy") == "nobody has any"


async def test_a_reminder_then_escalation(dsn: str, page: Any) -> None:
    silent = Baton().add("s", page.answer.new(patience=0.1))
    async with running(dsn) as engine:
        await engine.workflow(silent)
        assert await engine.engine.workflow(silent.workflow_id).result("s") == "nobody answered"
        assert page.reminders == ["ada", "ada", "her boss"]
        late = Baton().add("s", page.answer.new(patience=3600))
        await engine.insert(late)
        await until_waits(engine.tables, late)
        await send_event(late.workflow_id, "answer", 42)
        await engine.end(late)
        assert await engine.engine.workflow(late.workflow_id).result("s") == "42 in round 0"
