"""What people do is recorded with it, and told once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from baton import Baton, Step, worker
from baton.errors import InvalidOptionError
from baton.words.events import ActionDone
from support.running import Run, running


@worker(name="actions.works")
async def works(step: Step) -> None:
    return None


def waiting() -> Baton:
    return Baton().wait("w", any_of=["x"]).add("a", works.new(), deps=["w"])


async def test_a_cancellation_is_recorded_with_who_and_why(dsn: str) -> None:
    async with running(dsn) as run:
        flow = waiting()
        await flow.insert()
        assert await flow.handle().cancel("no more", by="ann") == 2
        assert await flow.handle().cancel("once more", by="bob") == 0
        (action,) = await run.engine.insights.actions(flow.workflow_id)
        assert (action.action, action.actor, action.reason) == ("cancel", "ann", "no more")
        assert (action.step, action.run, action.result) == (None, 1, {"cancelled": 2})
        (event,) = run.events.of(ActionDone)
        assert (event.workflow_id, event.actor, event.run) == (flow.workflow_id, "ann", 1)


async def test_actions_come_in_pages_newest_first(dsn: str) -> None:
    async with running(dsn) as run:
        flows = [waiting() for _ in range(3)]
        for flow in flows:
            await flow.insert()
            await flow.handle().cancel()
        ids = [flow.workflow_id for flow in reversed(flows)]
        first = await run.engine.insights.actions(limit=2)
        rest = await run.engine.insights.actions(after=first.next, limit=2)
        assert [action.workflow_id for action in (*first, *rest)] == ids
        assert rest.next is None


async def test_what_is_rolled_back_is_not_recorded(dsn: str) -> None:
    async with running(dsn) as run:
        flow = waiting()
        await flow.insert()
        await run.tables.execute(
            "CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'no'; END$$;"
            "CREATE TRIGGER no BEFORE INSERT ON baton.workflow_completions"
            " FOR EACH ROW EXECUTE FUNCTION public.no()"
        )
        with pytest.raises(Exception, match="no"):
            await flow.handle().cancel()
        assert await run.engine.insights.actions() == await _none(run)
        assert run.events.of(ActionDone) == []
        await run.tables.execute("DROP FUNCTION public.no() CASCADE")
        assert await flow.handle().cancel() == 2


async def _none(run: Run) -> Any:
    return type(await run.engine.insights.actions(limit=1))((), None)


@pytest.mark.parametrize("by", [1, b"x", "x" * 2_001])
async def test_who_acts_is_a_text(dsn: str, by: Any) -> None:
    async with running(dsn) as run:
        with pytest.raises(InvalidOptionError, match="by="):
            await run.engine.workflow(Baton().workflow_id).cancel(by=by)


async def test_two_who_cancel_at_once_are_one_action(dsn: str) -> None:
    async with running(dsn) as run:
        flow = waiting()
        await flow.insert()
        done = await asyncio.gather(*(flow.handle().cancel(by=str(n)) for n in range(2)))
        assert sorted(done) == [0, 2]
        assert len(await run.engine.insights.actions()) == 1
