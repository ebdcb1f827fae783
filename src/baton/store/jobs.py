"""Typed calls on jobs: the hot path, requeueing, staging, orphans, heartbeats."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID

from baton.store.borrowed import Fetches
from baton.store.store import Store
from baton.store.waits import settled_wait, skipped_step
from baton.words.effects import Grown, SettledWait
from baton.words.rows import Announced, CancelledStep, Claim, ClaimedJob, Demand, Node, Outcome
from baton.words.states import StepState

_log = logging.getLogger("baton")

BATON = "baton"


class Claimant(NamedTuple):
    """Who claims, in which call: written to `attempted_by` with Baton's mark, so that its heartbeat
    is looked for, and what a call claimed can be found when its reply was lost.
    """

    node: str
    engine: UUID
    call: str = "0"

    @property
    def attempted_by(self) -> list[str]:
        return [self.node, str(self.engine), BATON, self.call]


class Settled(NamedTuple):
    """The reply of the hot path; its fields as in `Effects`, but that claims are stale."""

    jobs: list[ClaimedJob]
    stale: list[Claim]
    completions: list[Announced]
    released: list[str]
    waits: Sequence[SettledWait] = ()
    skipped: Sequence[CancelledStep] = ()
    grown: Sequence[Grown] = ()


class Orphan(NamedTuple):
    """An executing job that nobody runs; `duration` is how long ago it was claimed, in seconds.

    `ahead`: it is known by its age alone, and was claimed "later" than now: the clock was set back.
    """

    id: int
    attempted_at: datetime
    attempt: int
    engine: str | None
    rescues: int
    worker: str
    queue: str
    workflow_id: UUID | None
    workflow_name: str | None
    step: str | None
    duration: float
    ahead: bool


class Neighbour(NamedTuple):
    """Another engine: its process, where it is to be looked for, and whether it has been silent for
    so long that its row serves nobody any more.
    """

    id: str
    place: str | None
    process: int | None
    process_start: int | None
    forgotten: bool


class _Kind(IntEnum):
    JOB = 0
    STALE = 1
    FINISHED = 2
    RELEASED = 3
    WAIT = 4
    SKIPPED = 11


_STATES = {str(state): state for state in StepState}


async def settle_and_claim(
    connection: Fetches,
    completed: Sequence[Outcome],
    demands: Sequence[Demand],
    claimant: Claimant,
    *,
    notify: bool,
    traced: bool = False,
) -> Settled:
    """Settle completed steps and claim the next jobs: one round trip, one commit. `traced` keeps
    the outcomes' traces and brings those of the claimed jobs' dependencies.

    Safe to repeat: an outcome that was written already is not reported stale.
    """
    rows = await connection.fetch(
        "settle_and_claim",
        [o.job_id for o in completed],
        [o.attempted_at for o in completed],
        [o.result for o in completed],
        [o.trace for o in completed] if traced else None,
        [d.queue for d in demands],
        [d.room for d in demands],
        [d.claim for d in demands],
        claimant.attempted_by,
        notify,
        [job_id for d in demands for job_id in d.left_out],
    )
    waits: list[SettledWait] = []
    skipped: list[CancelledStep] = []
    reply = Settled([], [], [], [], waits, skipped)
    for row in rows:
        kind = row[0]
        if kind == _Kind.JOB:
            reply.jobs.append(_claimed(row))
        elif kind == _Kind.STALE:
            reply.stale.append((row[1], row[2]))
        elif kind == _Kind.FINISHED:
            reply.completions.append(Announced(row[9], row[5]))
        elif kind == _Kind.WAIT:
            waits.append(settled_wait(row[5]))
        elif kind == _Kind.RELEASED:
            reply.released.append(row[3])
        elif kind == _Kind.SKIPPED:
            skipped.append(skipped_step(row[5]))
    return reply


def _claimed(row: Any) -> ClaimedJob:
    workflow_id = row[9]
    node = None
    if workflow_id is None and row[10] is not None:
        _log.error(
            "job %d has the id of a workflow's step (%r) and is not its job: its meta does not name"
            " that workflow. It is performed as a job outside workflows. Ids come twice"
            " when the sequence of oban_jobs was set back",
            row[1],
            row[10],
        )
    if workflow_id is not None:
        settled = row[12]
        node = Node(
            workflow_id,
            row[10],
            row[11],
            None if settled is None else _STATES[settled],
            row[13],
            row[14],
            row[15],
            row[16],
        )
    return ClaimedJob(
        row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], node, row[17] or (), row[18]
    )


async def read_claims(
    database: Store, claimant: Claimant, calls: Sequence[str]
) -> list[tuple[str, ClaimedJob]]:
    """What an engine holds by these calls of its own, each with its call."""
    rows = await database.fetch("read_claims", str(claimant.engine), calls)
    return [(row["call"], _claimed(row)) for row in rows]


async def find_blocked(database: Store, job_ids: Sequence[int]) -> frozenset[int]:
    """Of these jobs, those that cannot be settled now: somebody else holds a lock."""
    rows = await database.fetch("find_blocked", job_ids)
    return frozenset(row["outcome"] for row in rows)


async def requeue_jobs(database: Store, outcomes: Sequence[Outcome], *, notify: bool) -> set[int]:
    """Write outcomes that leave jobs unfinished; returns the ids whose claim still held."""
    rows = await database.fetch(
        "requeue_jobs",
        [o.job_id for o in outcomes],
        [o.attempted_at for o in outcomes],
        [o.state.value for o in outcomes],
        [o.delay for o in outcomes],
        [o.attempt_change for o in outcomes],
        [o.error for o in outcomes],
        notify,
    )
    return {row["id"] for row in rows}


async def find_requeued(database: Store, outcomes: Sequence[Outcome]) -> set[int]:
    """Of outcomes given to a `requeue_jobs` whose reply was lost, the ids of those it wrote."""
    rows = await database.fetch(
        "find_requeued",
        [o.job_id for o in outcomes],
        [o.attempted_at for o in outcomes],
        [o.attempt for o in outcomes],
        [o.error for o in outcomes],
    )
    return {row["id"] for row in rows}


async def read_lost_ends(database: Store, claims: Sequence[Claim]) -> list[Announced]:
    """The completions recorded by the calls that completed these claims, as JSON text."""
    ids, times = [claim[0] for claim in claims], [claim[1] for claim in claims]
    rows = await database.fetch("read_lost_ends", ids, times)
    return [Announced(row["workflow_id"], row["completion"]) for row in rows]


async def stage_jobs(
    database: Store, limit: int, left_out: Sequence[int] = (), *, notify: bool
) -> dict[str, int]:
    """Make due scheduled and retryable jobs available; returns how many per queue."""
    rows = await database.fetch("stage_jobs", limit, left_out, notify)
    return {row["queue"]: row["staged"] for row in rows}


async def find_due_jobs(database: Store, limit: int, left_out: Sequence[int]) -> list[int]:
    """The ids of the jobs that the next call of `stage_jobs` would make available."""
    return [row["id"] for row in await database.fetch("find_due_jobs", limit, left_out)]


async def stage_chosen(database: Store, job_ids: Sequence[int], *, notify: bool) -> dict[str, int]:
    """Make those of these jobs available that are due; returns how many per queue."""
    rows = await database.fetch("stage_chosen", job_ids, notify)
    return {row["queue"]: row["staged"] for row in rows}


async def find_orphans(
    database: Store,
    *,
    rescue_after: float,
    engine: UUID,
    known: Sequence[int],
    lost_after: float,
    foreign_after: float | None,
    after: int,
    limit: int,
    gone: Sequence[str] = (),
) -> list[Orphan]:
    """Executing jobs that nobody runs, with ids past `after`, in their order; see the query for the
    kinds. `gone` are engines whose processes have ended. Times are seconds.
    """
    times = (lost_after, foreign_after)
    rows = await database.fetch(
        "find_orphans", rescue_after, str(engine), known, *times, after, limit, gone
    )
    return [Orphan(*row) for row in rows]


async def find_lost_claims(database: Store, claims: Sequence[Claim]) -> set[Claim]:
    """Of the given (job id, attempted_at), those that are no longer held."""
    if not claims:
        return set()
    rows = await database.fetch(
        "find_lost_claims", [claim[0] for claim in claims], [claim[1] for claim in claims]
    )
    return {(row["id"], row["claim"]) for row in rows}


async def find_cancelled_claims(database: Store, claims: Sequence[Claim]) -> frozenset[Claim]:
    """Of the given (job id, attempted_at), those whose jobs were cancelled, or completed by hand,
    under that claim.
    """
    rows = await database.fetch(
        "find_cancelled_claims", [claim[0] for claim in claims], [claim[1] for claim in claims]
    )
    return frozenset((row["id"], row["claim"]) for row in rows)


async def read_neighbours(
    database: Store, engine: UUID, place: str | None, rescue_after: float
) -> list[Neighbour]:
    """The other engines whose processes were recorded at this place, or that are forgotten."""
    rows = await database.fetch("read_neighbours", str(engine), place, rescue_after)
    return [Neighbour(*row) for row in rows]


async def forget_engines(database: Store, engines: Sequence[str]) -> None:
    """Remove the rows of dead engines that hold no job any more."""
    if engines:
        await database.fetch("forget_engines", engines)


async def retire_engine(database: Store, engine: UUID) -> None:
    await database.fetch("retire_engine", str(engine))
