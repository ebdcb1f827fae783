"""Steps that come to a given end, and write down that they did."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import ClassVar
from uuid import uuid4

from baton import Cancel, Discard, Snooze, Step, Worker
from two_engines.truth import Truth


class Plan(StrEnum):
    """What becomes of a step that is performed."""

    SUCCEED = "succeed"
    RETRY = "retry"
    SNOOZE = "snooze"
    DISCARD = "discard"
    CANCEL = "cancel"
    EXHAUST = "exhaust"
    HANG = "hang"

    @property
    def state(self) -> str:
        """How the step settles when nothing keeps it from being performed."""
        match self:
            case Plan.DISCARD | Plan.EXHAUST:
                return "discarded"
            case Plan.CANCEL:
                return "cancelled"
            case _:
                return "completed"

    @property
    def executions(self) -> int:
        """How often the step is performed when no engine dies."""
        return 2 if self in _TWICE else 1


_TWICE = (Plan.RETRY, Plan.SNOOZE, Plan.HANG)


class Planned(Worker, name="two_engines.planned", backoff=0.02):
    """Works for `seconds` of idle waiting, then does as planned."""

    plan: Plan
    seconds: float = 0.0

    ledger: ClassVar[Truth]

    async def perform(self, step: Step) -> object:
        token = uuid4()
        before = await self.ledger.start(step.job_id, step.attempt, token)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        results = await step.results()
        plan = Plan.SUCCEED if before and self.plan in _TWICE else self.plan
        if plan is Plan.HANG:
            await asyncio.Event().wait()
        await self.ledger.end(step.job_id, step.attempt, token, plan)
        match plan:
            case Plan.SUCCEED:
                read = {name: result["token"] for name, result in results.items()}
                return {"token": str(token), "read": read}
            case Plan.SNOOZE:
                return Snooze(0.02)
            case Plan.DISCARD:
                return Discard("as planned")
            case Plan.CANCEL:
                return Cancel("as planned")
            case Plan.RETRY | Plan.EXHAUST | Plan.HANG:
                raise RuntimeError("as planned")
