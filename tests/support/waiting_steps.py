"""Steps that wait, counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from baton import Baton, Step, worker
from support.running import Run

runs: Counter[str] = Counter()


seen: list[Any] = []


@worker(name="steps.one", max_attempts=1)
async def one(step: Step) -> Any:
    runs["one"] += 1
    return await step.wait_for("x")


@worker(name="steps.forms", max_attempts=1)
async def forms(step: Step, *, form: str, options: dict[str, Any] | None = None) -> str:
    given: Any = options or {}
    match form:
        case "any":
            found = await step.wait_any("x", "y", "z", **given)
        case "all":
            found = await step.wait_all("x", "y", **given)
        case "n":
            found = await step.wait_n(2, "x", "y", "z", **given)
        case "for":
            found = await step.wait_for("x", **given)
        case "sleep":
            found = await step.sleep(0.05)
        case "until":
            found = await step.sleep_until(
                datetime.now(UTC) + timedelta(seconds=0.05), replay_key="k"
            )
        case _:
            found = await step.sleep_until(datetime.now(UTC) - timedelta(days=9), replay_key="k")
    seen.append(found)
    return repr(found)


async def only(run: Run, job: Any) -> Baton:
    workflow = Baton().add("s", job)
    await run.insert(workflow)
    return workflow


@worker(name="steps.several", max_attempts=1, timeout=0.5)
async def several(step: Step) -> Any:
    runs["several"] += 1
    found = [await step.wait_for("x"), await step.wait_for("x")]
    found.append(await step.wait_for("y", replay_key="mine"))
    await step.sleep(0.4)
    await step.sleep(0.4)
    return [*found, step.attempt]
