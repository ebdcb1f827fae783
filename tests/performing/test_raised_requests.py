"""Snooze, Cancel and Discard may be raised as well as returned, wherever a step runs."""

from __future__ import annotations

import asyncio
import copy
import pickle
from datetime import timedelta
from typing import Any

import pytest

from baton import Baton, Cancel, Discard, Snooze, Step, SyncStep, worker
from baton.errors import InvalidOptionError
from baton.workers.registry import held_spec
from support.apart import asks_apart
from support.running import running

ENDS = {
    "snooze": ("scheduled", ""),
    "cancel": ("cancelled", "withdrawn"),
    "discard": ("discarded", "void"),
}


def request(how: str) -> Exception:
    match how:
        case "snooze":
            return Snooze(timedelta(hours=1))
        case "cancel":
            return Cancel("withdrawn")
        case _:
            return Discard("void")


@worker(name="raised.plainly")
async def plainly(step: Step, *, how: str) -> None:
    raise request(how)


async def _raise(error: Exception) -> None:
    raise error


@worker(name="raised.in_a_group")
async def in_a_group(step: Step, *, how: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_raise(request(how)))
        group.create_task(asyncio.sleep(300))


@worker(name="raised.in_a_thread")
def in_a_thread(step: SyncStep, *, how: str) -> None:
    raise request(how)


@pytest.mark.parametrize("chosen", [plainly, in_a_group, in_a_thread, asks_apart])
async def test_what_is_raised_is_what_is_asked_for(dsn: str, chosen: Any) -> None:
    async with running(dsn) as run:
        for how, (state, error) in ENDS.items():
            workflow = Baton().add("a", chosen.new(how=how))
            await run.insert(workflow)
            row = await run.tables.until(workflow, "a", state, "retryable")
            assert (row.state, row.error) == (state, error)
            assert row.attempt == (0 if how == "snooze" else 1)
            if how == "snooze":
                assert 3_500 < row.due_in <= 3_600
    executor = held_spec(chosen).executor
    if executor is not None:
        executor().shutdown()


@worker(name="raised.with_an_error", max_attempts=1)
async def with_an_error(step: Step) -> None:
    raise ExceptionGroup("both", [Cancel("withdrawn"), ValueError("a real one")])


@worker(name="raised.lying", max_attempts=1)
async def lying(step: Step) -> None:
    liar: Exception = type("Liar", (Exception,), {"__class__": Cancel})()
    raise liar


async def test_an_error_beside_it_is_a_failure(dsn: str) -> None:
    workflow = Baton().add("both", with_an_error.new()).add("lying", lying.new())
    async with running(dsn) as run:
        await run.workflow(workflow)
        assert set((await run.tables.states(workflow)).values()) == {"discarded"}


@pytest.mark.parametrize("asked", [Snooze(5), Cancel("reason"), Discard()])
def test_they_stay_values(asked: Exception) -> None:
    assert pickle.loads(pickle.dumps(asked)) == copy.copy(asked) == asked
    assert asked != Snooze(6)
    assert len({asked, copy.copy(asked)}) == 1


def test_a_snooze_takes_a_timedelta() -> None:
    assert Snooze(timedelta(minutes=2)) == Snooze(120)
    with pytest.raises(InvalidOptionError, match=r"Snooze\.seconds"):
        Snooze(timedelta(seconds=-1))
