"""An orphaned job that the database refuses to change keeps no other from its rescue."""

from __future__ import annotations

import pytest

from baton import Baton, Step, worker
from support.refusing import CODES, accept, refuse
from support.running import Run, running

_GOOD = [f"good {number}" for number in range(6)]
_ORPHAN = {
    "state": "'executing'",
    "attempt": 1,
    "attempted_by": "'{node,11111111-1111-4111-8111-111111111111,baton}'",
    "attempted_at": "timezone('UTC', now())",
}


@worker(name="rescue.fine")
async def fine(step: Step) -> int:
    return step.attempt


@worker(name="rescue.refused")
async def refused(step: Step) -> int:
    return step.attempt


async def _orphaned(run: Run, workflow: Baton, **changes: object) -> None:
    await run.insert(workflow)
    await run.tables.execute("BEGIN")
    for name in workflow.step_names:
        await run.tables.change(workflow, name, **{**_ORPHAN, **changes})
    await run.tables.execute("COMMIT")


def _workflow() -> Baton:
    workflow = Baton(ignore_discarded=True).add("bad", refused.new(), schedule_in=99)
    for name in _GOOD:
        workflow.add(name, fine.new(), schedule_in=99)
    return workflow


@pytest.mark.parametrize("code", CODES)
async def test_an_orphan_that_cannot_be_rescued_keeps_no_other(
    dsn: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = _workflow()
    async with running(dsn, rescue_interval=0.03, heartbeat_interval=0.1, rescue_after=0.5) as run:
        await refuse(run.tables, "OLD.worker = 'rescue.refused' AND OLD.state = 'executing'", code)
        await _orphaned(run, workflow)
        for name in _GOOD:
            await run.tables.until(workflow, name, "completed")
        later = Baton().add("later", fine.new(), schedule_in=99)
        await _orphaned(run, later)
        await run.end(later)
        row = await run.tables.step(workflow, "bad")
        assert row.state == "executing"
        lines = [text for text in caplog.messages if f"job {row.id} cannot be rescued" in text]
        assert len(lines) == 1, caplog.messages
        assert code in lines[0]
        await accept(run.tables)
        assert (await run.end(workflow)).outcome == "completed"


async def test_a_hopeless_orphan_that_cannot_be_discarded_keeps_no_other(dsn: str) -> None:
    """The same where a rescue too many discards the jobs, in a settlement of failures."""
    workflow = _workflow()
    rescued = '\'[{"rescued": true, "error": "x", "attempt": 1}]\'::jsonb'
    async with running(
        dsn, rescue_interval=0.03, heartbeat_interval=0.1, rescue_after=0.5, max_rescues=1
    ) as run:
        await refuse(
            run.tables, "OLD.worker = 'rescue.refused' AND OLD.state = 'executing'", "AB123"
        )
        await _orphaned(run, workflow, errors=rescued)
        for name in _GOOD:
            await run.tables.until(workflow, name, "discarded")
        await accept(run.tables)
        assert (await run.end(workflow)).failed_steps == workflow.step_names
