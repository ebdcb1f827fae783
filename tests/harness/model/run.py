"""Runs the machine on a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import NamedTuple

import asyncpg
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from baton.store.faults import driver_error
from model.coverage import Coverage
from model.editing import Edit, LostPlaceError, mutated, mutated_schema
from model.machine import Machine
from model.mutants import MUTANTS
from model.world import PREPARED, world
from support.databases import create_database, drop_database, execute, run_apart


class Caught(NamedTuple):
    """When a mutant was told from the library, and by what."""

    examples: int
    steps: int
    why: str


def caught(dsn: str, name: str, examples: int, steps: int) -> Caught | None:
    """Whether the machine tells a mutant from the library, in so many of the fixed examples."""
    coverage = Coverage()
    try:
        check(dsn, coverage, examples, steps, shrink=False, edits=MUTANTS[name])
    except Exception as error:
        if _cannot_run(error):
            raise
        return Caught(coverage.examples, coverage.steps, str(error).strip())
    return None


def _cannot_run(error: BaseException | None) -> bool:
    """It edits nothing or its SQL is none: it would be told from the library by this alone."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_cannot_run, error.exceptions))
    return error is not None and (
        isinstance(driver_error(error), LostPlaceError | asyncpg.SyntaxOrAccessError)
        or _cannot_run(error.__cause__)
    )


@contextmanager
def database(server: str, template: str) -> Iterator[str]:
    """The DSN of a database prepared for the machine."""
    dsn = run_apart(create_database(server, template))
    try:
        run_apart(execute(dsn, PREPARED))
        yield dsn
    finally:
        run_apart(drop_database(server, dsn))


def check(
    dsn: str,
    coverage: Coverage,
    examples: int,
    steps: int,
    chance: int | None = None,
    *,
    shrink: bool = True,
    edits: tuple[Edit, ...] = (),
) -> None:
    """Play so many examples of so many steps; raises what the machine finds, made small.

    Without `chance` the examples are the same each time. `edits` make a mutant of the library.
    """

    class Chosen(Machine):
        """The settings of a machine stand in its class."""

    Chosen.coverage = coverage
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=chance is None,
        database=None,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        # One failure is enough, and told as it is.
        report_multiple_bugs=False,
    )
    machine: type[Machine] = Chosen if chance is None else seed(chance)(Chosen)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        runner.run(stack.enter_async_context(mutated_schema(dsn, edits)))
        machine.world = runner.run(stack.enter_async_context(world(dsn, runner)))
        try:
            with mutated(machine.world.database.sql, edits):
                run_state_machine_as_test(machine, settings=chosen)
        finally:
            runner.run(stack.aclose())
