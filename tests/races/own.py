"""One side of a race that settles a step in its own transaction, and a naive one that does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

from baton.settling.own_transactions import OwnTransactions
from baton.store.jobs import Claimant
from baton.store.step_transactions import StepTransaction, StepTransactions
from baton.store.store import Store
from baton.words.rows import Outcome
from races.arena import DEADLINE, HeldSide, settle
from support.effects import WRITE


async def settle_own(database: Store, outcome: Outcome) -> bool:
    """Write a row and settle the step with it; whether the claim held."""
    transactions, own = await _written(database, outcome)
    if isinstance(database, HeldSide):
        _hold(own, database)
    claimant = Claimant("race", uuid4())
    settlements = OwnTransactions(database, lambda: claimant, notify=True)
    try:
        await settlements.commit(outcome, own)
    finally:
        await own.roll_back()
        transactions.close()
    (settled,) = settlements.among([outcome]).values()
    return settled.stale == []


async def commit_then_settle(database: Store, outcome: Outcome) -> bool:
    """Naive: the row first, then the outcome, as two commits."""
    transactions, own = await _written(database, outcome)
    await own.commit()
    transactions.close()
    return (await settle(database, [outcome], notify=True)).stale == []


async def settle_then_commit(database: Store, outcome: Outcome) -> bool:
    """Naive: the outcome first, then the row; here the process dies between them."""
    transactions, own = await _written(database, outcome)
    held = (await settle(database, [outcome], notify=True)).stale == []
    await own.roll_back()
    transactions.close()
    return held


async def look_then_commit(
    database: Store, outcome: Outcome, meanwhile: Callable[[], Awaitable[object]]
) -> bool:
    """Naive: looks whether the claim holds, without a lock, then commits the row."""
    transactions, own = await _written(database, outcome)
    (row,) = await own.handed.fetch(
        "SELECT count(*) AS held FROM baton.oban_jobs"
        " WHERE id = $1 AND state = 'executing' AND attempted_at = $2",
        outcome.job_id,
        outcome.attempted_at,
    )
    await meanwhile()
    await (own.commit() if row["held"] else own.roll_back())
    transactions.close()
    return (await settle(database, [outcome], notify=True)).stale == []


async def _written(database: Store, outcome: Outcome) -> tuple[StepTransactions, StepTransaction]:
    transactions = StepTransactions(database, 1, command_timeout=DEADLINE, acquire_timeout=DEADLINE)
    own = await transactions.begin("racing")
    await own.handed.execute(WRITE, str(outcome.job_id))
    return transactions, own


def _hold(own: StepTransaction, side: HeldSide) -> None:
    commit = own.commit

    async def held() -> None:
        await side.hold()
        await commit()

    own.commit = held  # type: ignore[method-assign]
