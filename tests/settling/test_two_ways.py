"""Completed steps are settled by one statement, all others by several. On the same workflows, of
any shape and with rows that somebody moved by hand, both ways write the same.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest

from baton import Baton, Step, send_event, worker
from baton.settling.settle_failures import settle_nodes
from baton.store.jobs import Claimant, settle_and_claim
from baton.store.settlement import Ended, Settlement
from baton.store.store import Store
from baton.store.waits import suspend_jobs
from baton.words.rows import CancelledStep, NewWait, Outcome
from baton.words.states import JobState, StepState
from support.databases import create_database, drop_database
from support.inserting import Connection, session

LATER = datetime(2100, 1, 1, tzinfo=UTC)
CLAIMED = datetime(2020, 1, 1)  # noqa: DTZ001 as the driver gives it
QUEUES = ("default", "io")

# What is to be equal. What a node counts matters until it has settled.
LOOKS = """
    SELECT id, state::text, queue, attempt,
        regexp_replace(to_json(errors)::text, '"at": *"[^"]*"', '', 'g'),
        CASE WHEN queue <> 'baton_waits' THEN attempted_at END FROM oban_jobs;
    SELECT job_id, state::text, result::text, waits, CASE WHEN state IS NULL THEN pending END,
        state IS NULL AND released_at IS NOT NULL, undecided,
        CASE WHEN state IS NULL THEN any_of_state::text END FROM workflow_nodes;
    SELECT id, outstanding, failed, skipped, finished_at IS NULL FROM workflows;
    SELECT id, job_id, status, reason, armed_at IS NULL, deadline IS NULL, wake_at IS NULL,
        settled_at IS NULL FROM workflow_wait_groups;
    SELECT group_id, name, state, event_id FROM workflow_wait_members;
    SELECT id, name, state, receivers, group_id FROM workflow_events;
    SELECT workflow_id, outcome, failed_steps, failed_count, total_count FROM workflow_completions
"""


@worker
async def step(step: Step) -> None: ...


class Brought(NamedTuple):
    """What a settlement says that it did."""

    ended: list[UUID]
    woken: set[str]
    waits: list[tuple[int, str]]
    skipped: list[int]


class Side:
    """One of two databases with the same rows."""

    def __init__(self, database: Store, connection: Connection) -> None:
        self.database = database
        self.connection = connection

    async def look(self) -> list[list[tuple[Any, ...]]]:
        rows = [await self.connection.fetch(f"{query} ORDER BY 1, 2") for query in LOOKS.split(";")]
        return [[tuple(row) for row in table] for table in rows]

    async def execute(self, statement: str, *args: object) -> None:
        await self.connection.execute(statement, *args)

    async def claim(self, job_ids: Sequence[int], at: datetime) -> None:
        await self.execute(
            "UPDATE oban_jobs SET state = 'executing', attempt = attempt + 1, attempted_at = $2"
            " WHERE id = ANY ($1)",
            job_ids,
            at,
        )

    async def settle_at_once(self, outcomes: Sequence[Outcome]) -> Brought:
        claimant = Claimant("two ways", uuid4())
        reply = await settle_and_claim(self.database, outcomes, [], claimant, notify=False)
        assert (reply.jobs, reply.stale) == ([], [])
        return _brought(reply, reply.skipped)

    async def settle_by_parts(self, outcomes: Sequence[Outcome]) -> Brought:
        ids = [outcome.job_id for outcome in outcomes]
        async with self.database.committing() as connection:
            settlement = Settlement(connection, self.database.sql, notify=False)
            await settlement.lock_workflows_of_jobs(ids)
            await connection.execute(
                "UPDATE baton.oban_jobs SET state = 'completed' WHERE id = ANY ($1::bigint[])", ids
            )
            ended = [Ended(o.job_id, StepState.COMPLETED, o.result) for o in outcomes]
            reply = await settle_nodes(settlement, ended)
        return _brought(reply, reply.cancelled)


def _brought(reply: Any, skipped: Sequence[CancelledStep]) -> Brought:
    return Brought(
        sorted(workflow_id for workflow_id, _ in reply.completions),
        set(reply.released),
        sorted((wait.job_id, wait.outcome) for wait in reply.waits),
        sorted(step.job_id for step in skipped),
    )


@pytest.fixture
async def sides(server: str, template: str) -> AsyncIterator[tuple[Side, Side]]:
    async with AsyncExitStack() as stack:
        made: list[Side] = []
        for _ in range(2):
            dsn = await create_database(server, template)
            stack.push_async_callback(drop_database, server, dsn)
            database = Store(dsn)
            await database.open()
            stack.push_async_callback(database.close)
            made.append(Side(database, await stack.enter_async_context(session(dsn))))
        yield made[0], made[1]


def drawn(seed: int, workflow_id: UUID) -> Baton:
    """A workflow by chance, the same for the same seed."""
    chance = random.Random(seed)
    workflow = Baton(workflow_id)
    names: list[str] = []
    for number in range(chance.randint(4, 12)):
        name = str(number)
        deps = [other for other in names if chance.random() < 0.3]
        any_of = [other for other in names if other not in deps and chance.random() < 0.3]
        rules: dict[str, Any] = {}
        if deps and chance.random() < 0.4:
            option = chance.choice(["when", "unless"])
            rules[option] = {chance.choice(deps): {"odd": chance.randrange(2)}}
        if chance.random() < 0.1:
            rules["run_when_skipped"] = True
        if deps and chance.random() < 0.25:
            time = chance.choice([None, 3600.0])
            workflow.wait(name, any_of=["go"], timeout=time, deps=deps, **rules)
        else:
            at = LATER if chance.random() < 0.2 else None
            priority = chance.randrange(3)
            queue = chance.choice(QUEUES)
            if any_of and chance.random() < 0.5:
                rules["any_of"] = any_of
            workflow.add(
                name,
                step.new(),
                deps=deps,
                queue=queue,
                priority=priority,
                schedule_at=at,
                **rules,
            )
        names.append(name)
    return workflow


BY_HAND = (
    "UPDATE oban_jobs SET state = 'available' WHERE id = $1 AND state = 'suspended'",
    "UPDATE oban_jobs SET state = 'cancelled' WHERE id = $1 AND state = 'suspended'",
    'UPDATE oban_jobs SET meta = meta || \'{"workflow_id": "another"}\' WHERE id = $1',
    "DELETE FROM oban_jobs WHERE id = $1 AND state = 'suspended'",
)


class DifferentError(Exception):
    """The two ways have not come to the same."""


async def play_all(sides: tuple[Side, Side], seeds: Sequence[int]) -> list[int]:
    return [await play(sides, seed) for seed in seeds]


async def play(sides: tuple[Side, Side], seed: int) -> int:
    """Settle workflows step by step on both sides; how many settlements there were."""
    chance = random.Random(seed)
    ids = sorted(UUID(int=chance.getrandbits(128)) for _ in range(2))
    for side in sides:
        for number, workflow_id in enumerate(ids):
            await drawn(100 * seed + number, workflow_id).insert(conn=side.connection)
            if seed % 2:
                await send_event(workflow_id, "go", seed, conn=side.connection)
    if seed % 3 == 0:
        await _move_by_hand(sides, ids, seed // 3)
    for turn in range(1, 40):
        looks = [await side.look() for side in sides]
        if looks[0] != looks[1]:
            raise DifferentError(seed, turn)
        runnable = [row["id"] for row in await sides[0].connection.fetch(RUNNABLE, ids)]
        if not runnable:
            return turn
        chosen = sorted(chance.sample(runnable, chance.randint(1, len(runnable))))
        await _settle(sides, chosen, turn)
    raise AssertionError("the workflows do not come to an end")


RUNNABLE = """
    SELECT j.id FROM oban_jobs j JOIN workflow_nodes n ON n.job_id = j.id
    WHERE j.state IN ('available', 'scheduled') AND n.state IS NULL AND n.workflow_id = ANY ($1)
    AND j.meta ->> 'workflow_id' = n.workflow_id::text
    ORDER BY 1
"""


async def _move_by_hand(sides: tuple[Side, Side], ids: Sequence[UUID], number: int) -> None:
    suspended = await sides[0].connection.fetch(
        "SELECT n.job_id FROM workflow_nodes n JOIN oban_jobs j ON j.id = n.job_id"
        " WHERE n.workflow_id = ANY ($1) AND j.state = 'suspended' ORDER BY 1",
        ids,
    )
    for side in sides:
        for row in suspended[::3]:
            await side.execute(BY_HAND[number % len(BY_HAND)], row["job_id"])


async def _settle(sides: tuple[Side, Side], chosen: Sequence[int], turn: int) -> None:
    claimed = CLAIMED + timedelta(seconds=turn)
    outcomes = [
        Outcome(job_id, claimed, 1, JobState.COMPLETED, f'{{"value": {{"odd": {job_id % 2}}}}}')
        for job_id in chosen
    ]
    waiting = outcomes[0]._replace(
        state=JobState.SUSPENDED, result=None, wait=NewWait(("never",), 1, "#1")
    )
    for side in sides:
        await side.claim(chosen, claimed)
        if turn % 3 == 1:
            # It waits, and is moved by hand: it will end without its wait.
            await suspend_jobs(side.database, [waiting], notify=False)
            await side.execute(
                "UPDATE oban_jobs SET state = 'executing' WHERE id = $1", waiting.job_id
            )
    brought = [await sides[0].settle_at_once(outcomes), await sides[1].settle_by_parts(outcomes)]
    if brought[0] != brought[1]:
        raise DifferentError(turn, brought)


@pytest.mark.parametrize("first", [0, 12])
async def test_both_ways_come_to_the_same(sides: tuple[Side, Side], first: int) -> None:
    assert min(await play_all(sides, range(first, first + 12))) > 1


# What `baton_settle_and_claim` and the several statements have in common, each without its line.
VARIANTS = {
    "another job's id": ("(j.meta ->> 'workflow_id' = d.workflow_id::text) IS TRUE", "true"),
    "no step is opened": ("WHERE d.opens AND d.pending = 1", "WHERE d.opens AND d.pending = 9"),
    "no wait is closed": ("PERFORM baton.baton_close_waits(v_more,", "PERFORM (v_more,"),
    "no alternative is enough": ("SET any_of_state = 'completed',", "SET any_of_state = NULL,"),
    "an alternative counts twice": ("AND n.any_of_state IS NULL\n", "\n"),
    "all is due": ("j.scheduled_at <= greatest(v_now, j.inserted_at) AS due", "true AS due"),
    "no release is dated": (
        "WHEN n.pending <= d.settled THEN v_moment",
        "WHEN false THEN v_moment",
    ),
    "no end is dated": ("WHEN w.outstanding = s.steps THEN", "WHEN false THEN"),
}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_line_that_only_one_way_has_is_seen(sides: tuple[Side, Side], variant: str) -> None:
    connection = sides[0].connection
    text = await connection.fetchval(
        "SELECT pg_get_functiondef('baton.baton_settle_and_claim'::regproc)"
    )
    old, new = VARIANTS[variant]
    assert text.count(old) == 1
    await connection.execute(text.replace(old, new))
    with pytest.raises(DifferentError):
        await play_all(sides, range(24))
