"""Two engines in two processes share a database: every step has one outcome, every end is told
once. The large size is a command, see the package `two_engines`.
"""

from __future__ import annotations

from two_engines import truth
from two_engines.run import one_round

WORKFLOWS = 150


async def test_two_engines_on_one_database(dsn: str) -> None:
    await truth.create(dsn)
    figures = await one_round(dsn, WORKFLOWS, seed=1)
    assert figures.faults == ()
    assert sum(figures.told) == WORKFLOWS
    assert min(figures.told) > 0, "one of the engines had nothing to do"
    assert 0 < figures.failed < WORKFLOWS
