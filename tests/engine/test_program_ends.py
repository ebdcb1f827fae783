"""The end of the program is no failure of the steps that it cuts off: they go back untouched."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from contextlib import suppress
from time import monotonic

import pytest

from baton import Baton, Engine, Step, worker
from baton.runtime.loops import Loops
from support.ending_program import blocks, exits, hangs, neighbour
from support.places import TESTS
from support.programs import program
from support.running import Tables, fast, opened, running

PROGRAM = TESTS / "support" / "ending_program.py"


@worker(name="ends.waits", max_attempts=1)
async def waits(step: Step, *, how: str) -> None:
    try:
        await asyncio.sleep(300)
    finally:
        if how == "raises":
            raise ValueError("disturbed")
        if how == "takes its time":
            await asyncio.sleep(0.1)


performed: list[int] = []


@worker(name="ends.fails", max_attempts=1)
async def fails(step: Step) -> None:
    performed.append(step.job_id)
    await asyncio.sleep(0)
    raise ValueError("as planned")


def untouched(row: object) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in ("state", "attempt", "errors", "settled"))


UNTOUCHED: tuple[object, ...] = ("available", 0, [], None)
HOWS = ["is cancelled", "raises", "takes its time"]


async def _runs(dsn: str, workflow: Baton) -> None:
    async with opened(dsn) as tables:
        for name in workflow.step_names:
            await tables.until(workflow, name, "executing")


@pytest.mark.parametrize("ends", ["returns", "fails", "stops and returns", "cancels all"])
async def test_steps_that_the_end_of_the_loop_cancels_go_back(dsn: str, ends: str) -> None:
    """What `asyncio.run` does at its end: it cancels all tasks, in no order that we know."""
    workflow = Baton()
    for how in HOWS:
        workflow.add(how, waits.new(how=how))
    workflow.add("waits behind", waits.new(how="is cancelled"), deps=[HOWS[0]])
    async with Engine(dsn) as client:
        await workflow.insert(engine=client)

    async def main() -> None:
        engine = fast(dsn, poll_interval=0.05, shutdown_grace=60.0)
        task = asyncio.create_task(engine.run())
        async with opened(dsn) as tables:
            for name in HOWS:
                await tables.until(workflow, name, "executing")
        match ends:
            case "fails":
                raise RuntimeError("main fails")
            case "stops and returns":
                stopping = asyncio.create_task(engine.stop())
                await asyncio.sleep(0.05)
                assert not stopping.done()
            case "cancels all":
                for other in asyncio.all_tasks() - {asyncio.current_task()}:
                    other.cancel()
                await asyncio.wait([task])

    begun = monotonic()
    try:
        await asyncio.to_thread(asyncio.run, main())
    except RuntimeError:
        assert ends == "fails"
    assert monotonic() - begun < 20
    async with opened(dsn) as tables:
        for how in HOWS:
            assert untouched(await tables.step(workflow, how)) == UNTOUCHED
        assert await tables.violations() == []


async def test_a_step_that_cancels_itself_has_failed(dsn: str) -> None:
    @worker(name="ends.itself", max_attempts=1)
    async def cancels(step: Step) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    workflow = Baton().add("a", cancels.new())
    async with running(dsn) as run:
        await run.workflow(workflow)
        row = await run.tables.step(workflow, "a")
        assert (row.state, row.attempt) == ("discarded", 1)
        assert row.error.startswith("asyncio.exceptions.CancelledError")


async def _ended(process: Process, within: float) -> float:
    begun = monotonic()
    async with asyncio.timeout(within):
        await process.wait()
    return monotonic() - begun


async def _inserted(dsn: str, workflow: Baton) -> None:
    async with Engine(dsn) as client:
        await workflow.insert(engine=client)


async def test_a_second_interrupt_is_no_failure_of_the_step_that_it_hits(dsn: str) -> None:
    workflow = Baton().add("neighbour", neighbour.new()).add("blocks", blocks.new())
    await _inserted(dsn, workflow)
    async with program(PROGRAM, dsn) as process, opened(dsn) as tables:
        await _runs(dsn, workflow)
        process.send_signal(signal.SIGINT)
        # Two of one kind that are pending are one.
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGINT)
        await _ended(process, 20)
        await _gone_back(tables, workflow)


async def test_a_subtask_that_ends_the_program_costs_its_neighbours_nothing(dsn: str) -> None:
    neighbours = Baton().add("a", neighbour.new()).add("b", neighbour.new())
    await _inserted(dsn, neighbours)
    async with program(PROGRAM, dsn) as process, opened(dsn) as tables:
        await _runs(dsn, neighbours)
        exiting = Baton().add("exits", exits.new())
        await _inserted(dsn, exiting)
        await _ended(process, 20)
        assert process.returncode == 3
        await _gone_back(tables, neighbours)
        # Nor itself: asyncio cancels it before it can see what its task has raised.
        await _gone_back(tables, exiting)


async def _gone_back(tables: Tables, workflow: Baton) -> None:
    for name in workflow.step_names:
        assert untouched(await tables.step(workflow, name)) == UNTOUCHED


async def test_a_hung_thread_does_not_hold_up_the_end_of_a_program(dsn: str) -> None:
    workflow = Baton().add("hangs", hangs.new()).add("neighbour", neighbour.new())
    await _inserted(dsn, workflow)
    async with program(PROGRAM, dsn) as process, opened(dsn) as tables:
        await _runs(dsn, workflow)
        process.send_signal(signal.SIGINT)
        await _ended(process, 15)
        await _gone_back(tables, workflow)


async def _times_out() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(300)


async def test_a_time_out_inside_a_loop_is_not_the_end_of_the_program() -> None:
    """A task whose `asyncio.timeout` is over counts as being cancelled until it has its turn."""
    loops, timed_out = Loops("test"), asyncio.Event()
    seen: list[bool] = []

    async def work() -> None:
        await _times_out()
        timed_out.set()

    loops.every(300, "work", work)
    (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "baton:test:work")
    async with asyncio.timeout(10):
        while not timed_out.is_set():
            await asyncio.sleep(0)
            seen.append(task.cancelling() > 0)
            assert not loops.are_cancelled()
    assert any(seen)
    await loops.stop()


async def test_steps_that_fail_while_loops_time_out_have_failed(dsn: str) -> None:
    performed.clear()
    workflow = Baton()
    for number in range(100):
        workflow.add(str(number), fails.new())

    async def work() -> None:
        for _ in range(1000):
            await _times_out()

    async with running(dsn, queues={"default": 5}) as run:
        run.engine._parts.runtime.every(0.0, "times out", work)
        completion = await run.workflow(workflow)
    assert completion.failed_count == 100
    assert len(performed) == len(set(performed)) == 100
