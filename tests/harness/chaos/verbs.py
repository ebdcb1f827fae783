"""What people do to workflows in a storm: retry, complete, cancel, pause, fork; what must hold."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

import asyncpg

from baton import Baton, Engine
from baton.errors import (
    CompletionTimeoutError,
    RetryError,
    StepSettledError,
    WorkflowFinishedError,
)
from support.waiting import moment
from two_engines.fault import Fault, Kind
from two_engines.graphs import Graph

T = TypeVar("T")

MOST = 5
"""Verbs that one workflow meets, one after the other."""
LATEST = 1.0
LINGER = 3.0
"""Seconds in which a workflow may end by itself once nobody does anything to it any more."""
DEADLINES = 0.2

_REFUSALS = (RetryError, StepSettledError, WorkflowFinishedError)
_FORKS = "SELECT id FROM baton.workflows WHERE forked_from = ANY ($1::uuid[])"

# Every step has settled, and each run was announced once; it was told at most once: who dies tells
# nobody.
_WRONG = """
SELECT 'unsettled', format('%s %s', n.workflow_id, n.name)
FROM baton.workflow_nodes n
WHERE n.workflow_id = ANY ($1::uuid[]) AND n.state IS NULL
UNION ALL
SELECT 'lost', format('%s has %s of %s steps', i.id, count(n.job_id), w.steps)
FROM unnest($1::uuid[]) AS i (id)
LEFT JOIN baton.workflows w ON w.id = i.id
LEFT JOIN baton.workflow_nodes n ON n.workflow_id = i.id
GROUP BY i.id, w.steps
HAVING count(n.job_id) IS DISTINCT FROM w.steps
UNION ALL
SELECT 'missing', format('%s has ended in the runs %s of %s', w.id, c.runs, w.run)
FROM baton.workflows w
CROSS JOIN LATERAL (
    SELECT array_agg(c.run ORDER BY c.run) AS runs
    FROM baton.workflow_completions c WHERE c.workflow_id = w.id
) c
WHERE w.id = ANY ($1::uuid[])
AND c.runs IS DISTINCT FROM ARRAY(SELECT generate_series(1, w.run))
UNION ALL
SELECT 'duplicate', format('%s was told %s times in %s runs', w.id, t.times, w.run)
FROM baton.workflows w
CROSS JOIN LATERAL (
    SELECT count(*) AS times FROM public.told t WHERE t.workflow_id = w.id
) t
WHERE w.id = ANY ($1::uuid[]) AND t.times > w.run
UNION ALL
SELECT 'second', format('%s %s: its result is of no execution', n.workflow_id, n.name)
FROM baton.workflow_nodes n
WHERE n.workflow_id = ANY ($1::uuid[]) AND n.result -> 'value' ? 'token'
AND NOT EXISTS (
    SELECT FROM public.ledger l
    WHERE l.mark = 'end' AND l.ending = 'succeed'
    AND l.token::text = n.result -> 'value' ->> 'token'
)
"""
_KINDS = {
    "unsettled": Kind.UNSETTLED,
    "lost": Kind.LOST,
    "missing": Kind.MISSING,
    "duplicate": Kind.DUPLICATE,
    "second": Kind.SECOND,
}


class Surely(Protocol):
    """Makes a call again until it is answered."""

    async def __call__(self, what: str, call: Callable[[], Awaitable[T]]) -> T: ...


class People:
    """Act on workflows of their own, which nobody else judges by what was planned for them."""

    def __init__(self, engine: Engine, dsn: str, chance: random.Random, surely: Surely) -> None:
        self._engine = engine
        self._dsn = dsn
        self._chance = chance
        self._surely = surely
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def workflow(self, graph: Graph, seconds: float) -> Baton:
        """The workflow to insert; some have a deadline."""
        late = self._chance.random() < DEADLINES
        deadline = self._chance.uniform(0.3, LATEST * MOST) if late else None
        return graph.workflow(seconds, deadline=deadline)

    async def act(self, workflow_id: UUID, graph: Graph) -> None:
        """Do this and that to a workflow, until it ends: at last by force."""
        for _ in range(self._chance.randint(1, MOST)):
            await moment(asyncio.get_running_loop().time() + self._chance.uniform(0, LATEST))
            await self._do(workflow_id, *self._drawn(list(graph.plans)))
        await self._end(workflow_id)

    async def end_forks(self, sources: Collection[UUID]) -> list[UUID]:
        """Have all forks of these end, also those of which nobody heard; returns them."""
        connection = await asyncpg.connect(self._dsn)
        try:
            forks = [row["id"] for row in await connection.fetch(_FORKS, list(sources))]
        finally:
            await connection.close()
        await asyncio.gather(*map(self._end, forks))
        return forks

    def _drawn(self, steps: list[str]) -> tuple[str, Callable[[Any], Awaitable[object]]]:
        step = self._chance.choice(steps)
        verbs: dict[str, Callable[[Any], Awaitable[object]]] = {
            "retry": lambda flow: flow.retry(),
            "retry all": lambda flow: flow.retry("all", interrupt=True),
            "retry a step": lambda flow: flow.retry(steps=[step], interrupt=True),
            "complete a step": lambda flow: flow.complete_step(step, {"by": "hand"}),
            "cancel a step": lambda flow: flow.cancel_step(step),
            "pause": lambda flow: flow.pause(),
            "resume": lambda flow: flow.resume(),
            "fork": lambda flow: flow.fork([step]),
            "fork all": lambda flow: flow.fork(),
        }
        verb = self._chance.choice(list(verbs))
        return verb, verbs[verb]

    async def _do(
        self, workflow_id: UUID, verb: str, call: Callable[[Any], Awaitable[object]]
    ) -> None:
        async def do() -> str | None:
            try:
                await call(self._engine.workflow(workflow_id))
            except _REFUSALS as error:
                return type(error).__name__
            return None

        refusal = await self._surely(verb, do)
        self.done[verb] += refusal is None
        if refusal is not None:
            self.refused[refusal] += 1

    async def _end(self, workflow_id: UUID) -> None:
        flow = self._engine.workflow(workflow_id)
        await self._do(workflow_id, "resume at last", lambda flow: flow.resume())

        async def ends() -> bool:
            try:
                await flow.completion(timeout=LINGER)
            except CompletionTimeoutError:
                return False
            return True

        if not await self._surely("completion", ends):
            await self._surely("cancel", partial(flow.cancel, "the storm is over"))
            await self._surely("completion", flow.completion)


def without_keys(graph: Graph) -> Graph:
    """The same without mailboxes that others share: who waits anew takes what others need."""
    return replace(
        graph,
        gates={step: replace(one, key=None) for step, one in graph.gates.items()},
        waits={
            step: tuple(replace(one, key=None) for one in some)
            for step, some in graph.waits.items()
        },
    )


async def verb_faults(
    connection: asyncpg.Connection[Any], workflow_ids: Collection[UUID]
) -> list[Fault]:
    """What is wrong with workflows that people acted on, whatever they did; see also the
    invariants of the tables.
    """
    rows = await connection.fetch(_WRONG, list(workflow_ids))
    return [Fault(_KINDS[kind], text) for kind, text in rows]
