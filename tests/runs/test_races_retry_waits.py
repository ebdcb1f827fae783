"""Races of an event and a retry of the step that waits for it. Whoever comes second sees what the
first has done: the event ends the old wait and is kept as history, or the new wait takes it. It is
never lost without a trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from baton import Baton, EngineSettings
from baton.core.outcome import Ending, outcome
from baton.runs.actions import Told
from baton.runs.retry import asked, retry_workflow
from baton.settling.suspend import suspend
from baton.store.store import Store
from baton.waits.spread import hand_out
from baton.words.rows import NewWait
from races.arena import ROUNDS, Arena, arena, heard, noop, settle
from races.waiting import mutate, send
from support.waiting import DEADLINE, eventually

WAIT = NewWait(("x",), 1, replay_key="#1")


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


class Facts(NamedTuple):
    """A workflow of one wait step: its run, the payload that the step has in its result, and those
    that runs before had.
    """

    run: int
    result: int | None
    before: list[int]


async def retry(database: Store, workflow_id: UUID, step: str, keep_memos: bool = False) -> int:
    """Begin a step anew; the run that goes on."""
    options = asked("failed", [step], None, keep_memos=keep_memos, interrupt=False)
    done, _ = await retry_workflow(database, workflow_id, options, Told(None, None), notify=True)
    return done.run


async def facts(ring: Arena) -> dict[UUID, Facts]:
    rows = await ring.monitor.fetch(
        "SELECT w.id, w.run, (n.result #>> '{value,events,x}')::integer,"
        " ARRAY(SELECT (h.result #>> '{value,events,x}')::integer"
        "  FROM baton.workflow_step_history h WHERE h.job_id = n.job_id)"
        " FROM baton.workflows w JOIN baton.workflow_nodes n ON n.workflow_id = w.id"
    )
    return {workflow_id: Facts(*rest) for workflow_id, *rest in rows}


def waits(key: str | None = None) -> Baton:
    return Baton().wait("w", any_of=["x"], correlation_key=key)


async def test_the_event_first(ring: Arena, dsn: str) -> None:
    (workflow,) = await ring.insert(waits())
    async with heard(dsn) as told:
        race = await ring.in_order(
            send(workflow.id, "x", 1, dedupe_id="d"),
            partial(retry, workflow_id=workflow.id, step="w"),
        )
        assert race == ("settled", 2, True)
        assert await facts(ring) == {workflow.id: Facts(2, None, [1])}
        assert await send(workflow.id, "x", 2, dedupe_id="d")(ring.right) == "settled"
    assert await facts(ring) == {workflow.id: Facts(2, 2, [1])}
    assert told == [str(workflow.id)] * 2
    assert await ring.violations() == []


async def test_the_retry_first(ring: Arena, dsn: str) -> None:
    (workflow,) = await ring.insert(waits())
    async with heard(dsn) as told:
        race = await ring.in_order(
            partial(retry, workflow_id=workflow.id, step="w"), send(workflow.id, "x", 1)
        )
    assert race == (1, "settled", True)
    assert await facts(ring) == {workflow.id: Facts(1, 1, [])}
    assert told == [str(workflow.id)]
    assert await ring.violations() == []


@pytest.mark.parametrize("by_key", [False, True])
async def test_an_event_and_a_retry_of_a_wait_step_at_once(
    ring: Arena, dsn: str, by_key: bool
) -> None:
    keys = [f"k{number}" if by_key else None for number in range(ROUNDS)]
    workflows = await ring.insert(*map(waits, keys))
    async with heard(dsn) as told:
        for number, (workflow, key) in enumerate(zip(workflows, keys, strict=True)):
            to = None if by_key else workflow.id
            pair: Any = (
                send(to, "x", 1, dedupe_id="d", correlation_key=key),
                partial(retry, workflow_id=workflow.id, step="w"),
            )
            await ring.together(*(pair if number % 2 else pair[::-1]))
        await handed_out(ring)
        found = await facts(ring)
        # Either it ended the first run, and the second waits; or it is the result of the first.
        assert set(map(str, found.values())) <= {str(Facts(2, None, [1])), str(Facts(1, 1, []))}
        for workflow, key in zip(workflows, keys, strict=True):
            if found[workflow.id].run == 2:
                to = None if by_key else workflow.id
                await send(to, "x", 2, dedupe_id="d", correlation_key=key)(ring.right)
        await handed_out(ring)
        last = await facts(ring)
    assert last == {i: one._replace(result=one.run) for i, one in found.items()}
    assert Counter(told) == {str(i): one.run for i, one in found.items()}
    assert await ring.violations() == []


async def handed_out(ring: Arena) -> None:
    """Until no event that was sent by a key is on its way any more."""

    async def look() -> bool:
        await hand_out(ring.right, EngineSettings())
        return not await ring.monitor.fetchval(
            "SELECT EXISTS (SELECT FROM baton.workflow_events WHERE state = 'open')"
        )

    await eventually(look, DEADLINE)


async def sleep(ring: Arena) -> None:
    """Put every step that can be claimed to sleep, waiting for an event."""
    for job in await ring.claim():
        ended = outcome(job, Ending.SUSPENDED)._replace(wait=WAIT)
        await suspend(ring.right, [ended], notify=True)


@pytest.mark.parametrize("keep_memos", [False, True])
async def test_an_event_and_a_retry_of_a_step_that_waits_at_once(
    ring: Arena, dsn: str, keep_memos: bool
) -> None:
    workflows = await ring.insert(*(Baton().add("s", noop.new()) for _ in range(ROUNDS)))
    await sleep(ring)
    sent: list[str] = []
    async with heard(dsn) as told:
        for number, workflow in enumerate(workflows):
            pair: Any = (
                send(workflow.id, "x", 1, dedupe_id="d"),
                partial(retry, workflow_id=workflow.id, step="s", keep_memos=keep_memos),
            )
            done = await ring.together(*(pair if number % 2 else pair[::-1]))
            sent.append(str(done[0] if number % 2 else done[1]))
        # What ended the old wait goes with it, or is kept with it; the rest is there for the next.
        taken = sent.count("settled")
        assert sent.count("buffered") == ROUNDS - taken
        rows = await ring.monitor.fetch("SELECT state FROM baton.workflow_events")
        states = Counter(row["state"] for row in rows)
        assert states["taken" if keep_memos else "dropped"] == taken
        assert states["kept"] == ROUNDS - taken
        for workflow, delivery in zip(workflows, sent, strict=True):
            if delivery == "settled":
                again = "duplicate" if keep_memos else "buffered"
                assert await send(workflow.id, "x", 2, dedupe_id="d")(ring.right) == again
        await sleep(ring)
        await ring.claim()
        steps = [workflow["s"] for workflow in workflows]
        await settle(ring.right, ring.done(*steps), notify=True)
    assert Counter(told) == {str(workflow.id): 1 for workflow in workflows}
    assert await ring.violations() == []


async def test_without_the_lock_an_event_is_lost(ring: Arena) -> None:
    """The sender finds the old wait, and gives the event to it though it is gone by then."""
    await mutate(ring.monitor, "baton_send", (r"FOR NO KEY UPDATE", ""))
    (workflow,) = await ring.insert(Baton().add("s", noop.new()))
    await sleep(ring)
    # Nobody has it: there is nothing that it could answer.
    with pytest.raises(IndexError):
        await ring.in_order(
            partial(retry, workflow_id=workflow.id, step="s"), send(workflow.id, "x", 1)
        )
    await sleep(ring)
    event = await ring.monitor.fetchval("SELECT state FROM baton.workflow_events")
    wait = await ring.monitor.fetchval("SELECT status FROM baton.workflow_wait_groups")
    assert (event, wait) == ("taken", "pending")
