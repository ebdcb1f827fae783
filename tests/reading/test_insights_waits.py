"""Why a step waits that waits for events."""

from __future__ import annotations

from baton import Baton, Step, send_event, worker
from baton.insights import Insights, Reason
from support.running import running
from support.waits import until_waits


@worker
async def sleeps(step: Step) -> None:
    await step.sleep(3600)


async def test_what_a_step_waits_for_is_told(dsn: str) -> None:
    workflow = (
        Baton()
        .wait("gate", all_of=["legal", "boss", "fire"], timeout=3600, prompt="May it go?")
        .wait("any", any_of=["x", "y"])
        .add("nap", sleeps.new())
    )
    async with running(dsn) as run:
        insights = Insights(run.engine.database)
        await run.insert(workflow)
        await send_event(workflow.workflow_id, "boss", engine=run.engine)
        await until_waits(run.tables, workflow, 3)
        gate = await insights.why(workflow.workflow_id, "gate")
        assert (gate.reason, gate.events) == (Reason.EVENTS, ("legal", "fire"))
        assert gate.until is not None
        assert gate.since is not None
        assert (gate.until - gate.since).total_seconds() == 3600
        assert gate.sentence == (
            f"step 'gate' waits for 2 of the events 'legal', 'fire', since {gate.since:%F %T} UTC, "
            f"until {gate.until:%F %T} UTC: May it go?"
        )
        waits_for_any = await insights.why(workflow.workflow_id, "any")
        assert "waits for 1 of the events 'x', 'y'" in waits_for_any.sentence
        assert waits_for_any.until is None
        nap = await insights.why(workflow.workflow_id, "nap")
        assert (nap.reason, nap.events) == (Reason.EVENTS, ())
        assert nap.sentence.startswith("step 'nap' sleeps until ")
        await run.engine.workflow(workflow.workflow_id).cancel()
