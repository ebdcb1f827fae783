"""Steps that come to a given end, and write down that they did."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID, uuid4

from baton import (
    Cancel,
    Discard,
    Skip,
    Snooze,
    Step,
    WaitCancelled,
    WaitEvents,
    WaitTimeout,
    Worker,
    worker,
)
from two_engines.truth import Truth


class Plan(StrEnum):
    """What becomes of a step that is performed."""

    SUCCEED = "succeed"
    RETRY = "retry"
    SNOOZE = "snooze"
    DISCARD = "discard"
    CANCEL = "cancel"
    SKIP = "skip"
    EXHAUST = "exhaust"
    HANG = "hang"
    MEND = "mend"
    """It is discarded; whoever retries it finds it mended."""

    @property
    def state(self) -> str:
        """How the step settles when nothing keeps it from being performed."""
        match self:
            case Plan.DISCARD | Plan.EXHAUST:
                return "discarded"
            case Plan.CANCEL:
                return "cancelled"
            case Plan.SKIP:
                return "skipped"
            case _:
                return "completed"

    @property
    def executions(self) -> int:
        """How often the step is performed when no engine dies."""
        return 2 if self in _TWICE else 1


_TWICE = (Plan.RETRY, Plan.SNOOZE, Plan.HANG)
_ONCE = (*_TWICE, Plan.MEND)
"""What is done once, and not when the step is performed again."""


@dataclass(frozen=True)
class Awaited:
    """What a gate waits for, or a step. `ends` are the ways in which it may end."""

    names: tuple[str, ...]
    need: int = 1
    timeout: float | None = None
    on_timeout: str = "result"
    key: str | None = None
    ends: tuple[str, ...] = ("completed",)


@dataclass(frozen=True)
class Addition:
    """A step that another one adds while it runs."""

    name: str
    plan: Plan
    seconds: float
    deps: tuple[str, ...]
    before: tuple[str, ...]
    rules: dict[str, Any]
    adds: tuple[Addition, ...]


_WRITE = "INSERT INTO public.written (job_id, token) VALUES ($1, $2)"


class Planned(Worker, name="two_engines.planned", backoff=0.02):
    """Works for `seconds` of idle waiting, waits for what it awaits, then does as planned. What it
    awaits and a plan that needs two attempts do not go together.
    """

    plan: Plan
    seconds: float = 0.0
    waits: tuple[Awaited, ...] = ()
    writes: bool = False
    """Whether it leaves a row in its own transaction."""
    adds: tuple[Addition, ...] = ()

    ledger: ClassVar[Truth]

    async def perform(self, step: Step) -> object:
        token = uuid4()
        before = await self.ledger.start(step.job_id, step.attempt, token)
        plan = Plan.SUCCEED if before and self.plan in _ONCE else self.plan
        for new in self.adds:
            job = Planned(plan=new.plan, seconds=new.seconds, adds=new.adds)
            step.add(new.name, job, deps=new.deps, before=new.before, **new.rules)
        try:
            results = await self._work(step, token, plan)
            if self.writes:
                async with step.transaction() as conn:
                    await conn.execute(_WRITE, step.job_id, token)
            await self.ledger.end(step.job_id, step.attempt, token, plan)
        except BaseException as error:
            # Whoever dies writes nothing: what is performed again has its reason here or there.
            await self.ledger.left(step.job_id, step.attempt, token, type(error).__name__)
            raise
        match plan:
            case Plan.SUCCEED:
                read = {name: result.get("token") for name, result in results.items()}
                gates = {name: result for name, result in results.items() if "token" not in result}
                return {"token": str(token), "read": read, "gates": gates}
            case Plan.SNOOZE:
                return Snooze(0.02)
            case Plan.DISCARD | Plan.MEND:
                return Discard("as planned")
            case Plan.CANCEL:
                return Cancel("as planned")
            case Plan.SKIP:
                return Skip("as planned")
            case Plan.RETRY | Plan.EXHAUST | Plan.HANG:
                raise RuntimeError("as planned")

    async def _work(self, step: Step, token: UUID, plan: Plan) -> dict[str, Any]:
        if self.seconds:
            await asyncio.sleep(self.seconds)
        results = await step.results()
        for number, awaited in enumerate(self.waits, 1):
            outcome = await step.wait_n(
                awaited.need,
                *awaited.names,
                timeout=awaited.timeout,
                correlation_key=awaited.key,
            )
            await self.ledger.resumed(step.job_id, f"#{number}", token, seen(outcome))
        if plan is Plan.HANG:
            await asyncio.Event().wait()
        return results


_LOCK = "SELECT FROM public.accounts WHERE id = ANY ($1::integer[]) ORDER BY id FOR UPDATE"
_MOVE = """
WITH noted AS (
    INSERT INTO public.transfers (job_id, source, target, amount)
    VALUES ($1, $2::integer, $3::integer, $4::integer)
)
UPDATE public.accounts SET balance = balance + CASE id WHEN $2 THEN -$4 ELSE $4 END
WHERE id IN ($2, $3)
"""


@worker(name="two_engines.transfer", backoff=0.05, max_attempts=1_000)
async def transfer(
    step: Step, *, source: int, target: int, amount: int, naive: bool
) -> dict[str, int]:
    """Moves an amount between two rows in the step's own transaction; if `naive`, in another."""
    async with _moving(step, naive) as conn:
        await conn.execute(_LOCK, [source, target])
        await conn.execute(_MOVE, step.job_id, source, target, amount)
    # Between the block and the end of the step everything may happen; naive, it is to be seen soon.
    await asyncio.sleep(random.uniform(0.0, 0.2 if naive else 0.01))
    return {"job_id": step.job_id}


@asynccontextmanager
async def _moving(step: Step, naive: bool) -> AsyncIterator[Any]:
    if naive:
        async with step._database.transaction() as conn:
            yield conn
    else:
        async with step.transaction() as conn:
            yield conn


def seen(outcome: WaitEvents | WaitTimeout | WaitCancelled) -> dict[str, Any]:
    """What a wait returned, as the ledger keeps it: its events by the id in their payload."""
    match outcome:
        case WaitEvents(events):
            return {"outcome": "events", "events": _ids(events)}
        case WaitTimeout(received):
            return {"outcome": "timeout", "events": _ids(received)}
        case WaitCancelled():
            return {"outcome": "cancelled", "events": {}}


def _ids(events: Any) -> dict[str, str]:
    return {name: payload["id"] for name, payload in events.items()}
