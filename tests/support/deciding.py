"""A gate and a step that wait for a decision."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from baton import Baton, Step, worker


class Decision(BaseModel):
    approved: bool
    by: str = Field(min_length=2)
    level: Literal["low", "high"] = "low"


@worker(name="events.keyed", max_attempts=1)
async def keyed(step: Step, *, key: str = "k") -> Any:
    return await step.wait_for("x", correlation_key=key)


def gate(*names: str, **options: Any) -> Baton:
    return Baton().wait("gate", all_of=names or ["x"], **options)


GOOD, BAD = {"approved": True, "by": "ada"}, {"approved": "perhaps", "by": "a"}
