"""Settles failures: the slow path, several statements under the workflow's lock.

The prompt path, `completion.check` and every sweep come through `settle_nodes`: record settled
states, cascade, release, count, announce. Decisions are taken by the pure `core.cascade` on what
was read after the lock; on conditions by `baton_open`, which only the schema knows.

Completed steps are settled by one statement, `baton_settle_and_claim`. What both write must stay
equal: docs/architecture.md has the lines under "Two ways of settling",
tests/settling/test_two_ways.py compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from baton.core.cascade import Cascade, GraphNode, cascade
from baton.core.gate import Cause, Verdict
from baton.performing.gating import decision
from baton.store.settlement import (
    CancelledJob,
    Counts,
    DownstreamNode,
    Ended,
    SettledNode,
    Settlement,
)
from baton.store.store import Store
from baton.words.effects import Effects
from baton.words.rows import CancelledStep, Outcome
from baton.words.states import FAILED_STATES, JobState, StepState

NO_RESULT = '{"value": null}'
"""Stored for a job that somebody else completed and brought no result for, as `check` does."""


async def settle_failures(database: Store, outcomes: Sequence[Outcome], *, notify: bool) -> Effects:
    """Write cancelled and discarded jobs, fenced, and settle their steps, skipped ones too."""

    async def body() -> Effects:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            await settlement.lock_workflows_of_jobs([o.job_id for o in outcomes])
            return await _finish(settlement, outcomes)

    return await database.retrying(body, idempotent=True, when_locked=False)


async def _finish(settlement: Settlement, outcomes: Sequence[Outcome]) -> Effects:
    accepted = await settlement.finish_jobs(outcomes)
    ended = [
        Ended(o.job_id, StepState.SKIPPED if o.skipped else StepState(o.state), trace=o.trace)
        for o in outcomes
        if o.job_id in accepted
    ]
    effects = await settle_nodes(settlement, ended)
    return effects._replace(accepted=frozenset(accepted))


async def hold(database: Store, outcomes: Sequence[Outcome], *, notify: bool) -> Effects:
    """Put jobs back to sleep whose dependencies have not settled.

    The gate looked before the lock, and a cascade passes by a job that runs: one whose dependency
    failed in between would wait for ever, or run, so the gate decides again.
    """

    async def body() -> Effects:
        async with database.committing() as connection:
            settlement = Settlement(connection, database.sql, notify=notify)
            await settlement.lock_workflows_of_jobs([o.job_id for o in outcomes])
            doomed: list[Outcome] = []
            held: list[Outcome] = []
            for waiting in outcomes:
                decided = decision(await settlement.read_dependencies(waiting.job_id))
                if decided.verdict in (Verdict.CANCEL, Verdict.SKIP):
                    skipped = decided.verdict is Verdict.SKIP
                    failed = waiting._replace(state=JobState.CANCELLED, error=decided.reason)
                    doomed.append(failed._replace(attempt_change=0, skipped=skipped))
                else:
                    held.append(waiting)
            back = await settlement.hold_jobs(held)
            effects = await _finish(settlement, doomed)
            effects = effects.plus(
                Effects(
                    frozenset(job.id for job in back),
                    released=[job.woken for job in back if job.woken],
                )
            )
            # Decided when its last dependency settled, and passed by because it ran.
            opened = [job.id for job in back if job.opens]
            if opened:
                effects = effects.plus(await settlement.open_steps(opened))
            return effects

    return await database.retrying(body, idempotent=True, when_locked=False)


def as_it_ended(job_id: int, state: JobState | None) -> Ended:
    """How a step ends whose job has ended, or vanished (None)."""
    if state is None:
        return Ended(job_id, StepState.CANCELLED, gone=True)
    return Ended(job_id, StepState(state), NO_RESULT if state is JobState.COMPLETED else None)


async def settle_nodes(
    settlement: Settlement, ended: Sequence[Ended], above: Sequence[SettledNode] = ()
) -> Effects:
    """Settle steps and all that follows from it. The caller holds the locks of their workflows.

    `above` are steps that have settled before, with those of their dependents that are new.
    """
    settled = await settlement.settle_nodes(ended) if ended else []
    if not settled and not above:
        return Effects()
    first = [node.job_id for node in settled]
    gone = frozenset(step.job_id for step in ended if step.gone)
    plan, downstream, busy = await _plan(settlement, [*settled, *above], gone)
    causes = {**plan.cancelled, **plan.skipped}
    reasons = {job_id: cause.reason for job_id, cause in causes.items()}
    jobs = await settlement.cancel_jobs(reasons) if reasons else []
    if reasons:
        followed = [Ended(job_id, StepState.CANCELLED) for job_id in plan.cancelled]
        followed += [Ended(job_id, StepState.SKIPPED) for job_id in plan.skipped]
        settled = [*settled, *await settlement.settle_nodes(followed)]
    waited = [node.job_id for node in settled if node.waits]
    if waited:
        await settlement.close_waits(waited, "the step ended without it")
    decrements = await _without_doomed(settlement, plan.decrements, busy)
    if decrements:
        await settlement.decrement_pending(decrements, plan.alternatives)
    released = await settlement.release_jobs(plan.released) if plan.released else []
    opened = _opened(decrements, downstream)
    further = await settlement.open_steps(opened) if opened else Effects()
    finished = await settlement.count_settled(_counts(settled)) if settled else []
    completions = await settlement.announce(finished) if finished else []
    cancelled = [
        cancelled_step(
            job,
            downstream[job.id].workflow_id,
            downstream[job.id].name,
            reasons[job.id],
            causes[job.id],
        )._replace(skipped=job.id in plan.skipped)
        for job in jobs
    ]
    return Effects(
        frozenset(first), completions=completions, cancelled=cancelled, released=released
    ).plus(further)


def _opened(decrements: Mapping[int, int], nodes: Mapping[int, DownstreamNode]) -> list[int]:
    """The steps whose last dependency settled, and that have a condition or a wait left."""
    return sorted(
        job_id
        for job_id, count in decrements.items()
        if nodes[job_id].opens and nodes[job_id].pending - count == 1
    )


async def _plan(
    settlement: Settlement, settled: Sequence[SettledNode], gone: frozenset[int]
) -> tuple[Cascade, dict[int, DownstreamNode], frozenset[int]]:
    if not any(node.dependents or node.any_dependents for node in settled):
        return cascade({}, {}), {}, frozenset()
    downstream = {node.job_id: node for node in await settlement.read_downstream(settled, gone)}
    states = await settlement.lock_jobs(list(downstream))
    busy = frozenset(job_id for job_id, state in states.items() if state not in _OURS)
    graph = {
        node.job_id: GraphNode(
            name=node.name,
            pending=node.pending,
            rules=node.rules,
            dependents=node.dependents,
            unskipped=node.unskipped,
            executing=node.job_id in busy,
            any_dependents=node.any_dependents,
            alternatives=node.alternatives,
        )
        for node in downstream.values()
    }
    return cascade(settled, graph, gone=gone), downstream, busy


async def _without_doomed(
    settlement: Settlement, decrements: Mapping[int, int], busy: frozenset[int]
) -> dict[int, int]:
    """The decrements but for running steps that are to be cancelled or skipped: the cascade passes
    them by.

    Such a step may be given back before its gate has looked, by a rescue or a stop: with a count
    above zero nothing releases it, and its next claim asks the gate.
    """
    counted = dict(decrements)
    for job_id in busy.intersection(decrements):
        # What a job is before it settles may change yet: somebody may retry one that was cancelled.
        # Of alternatives those that have not settled count all the same: they may be enough.
        rows = await settlement.read_dependencies(job_id)
        found = [
            row if row.settled else row._replace(job_state=JobState.SUSPENDED)
            for row in rows
            if row.settled or row.alternative
        ]
        # Its condition counts for itself, and is decided when it is opened.
        verdict = decision([row._replace(unmet=None) for row in found]).verdict
        settled = all(row.settled for row in rows)
        if verdict is Verdict.CANCEL or (verdict is Verdict.SKIP and settled):
            del counted[job_id]
    return counted


# All others run, or ended behind our back, or are in a state of a newer Oban: such a step settles
# by its own outcome, not by the cascade.
_OURS = frozenset({JobState.AVAILABLE, JobState.SUSPENDED, JobState.SCHEDULED, JobState.RETRYABLE})


def cancelled_step(
    job: CancelledJob, workflow_id: UUID, name: str, reason: str, cause: Cause | None = None
) -> CancelledStep:
    """A step as events and hooks are told of it."""
    return CancelledStep(
        job_id=job.id,
        workflow_id=workflow_id,
        name=name,
        worker=job.worker,
        queue=job.queue,
        args=job.args,
        meta=job.meta,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        reason=reason,
        dependency=cause.name if cause else None,
        dependency_state=StepState(cause.state) if cause else None,
        model=job.model,
        debug=job.debug,
    )


def _counts(settled: Sequence[SettledNode]) -> dict[UUID, Counts]:
    counts: dict[UUID, Counts] = {}
    for node in settled:
        done, failed, skipped = counts.get(node.workflow_id, Counts(0, 0, 0))
        counts[node.workflow_id] = Counts(
            done + 1,
            failed + (node.state in FAILED_STATES),
            skipped + (node.state is StepState.SKIPPED),
        )
    return counts
