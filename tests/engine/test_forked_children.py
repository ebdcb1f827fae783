"""A child that a step of `baton worker` forks ends by a signal as it would anywhere else."""

from __future__ import annotations

import signal

import pytest

from baton import Baton, Engine
from cli.test_cli import ended, working
from support import forked_children
from support.running import opened


@pytest.mark.parametrize("how", ["process", "fork", "pool"])
async def test_a_forked_child_dies_of_a_signal(dsn: str, how: str) -> None:
    workflow = Baton().add("a", forked_children.forks.new(how=how))
    async with Engine(dsn) as client:
        await workflow.insert(engine=client)
    async with working("support.forked_children:engine", dsn=dsn, BATON_FORKING_DSN=dsn) as process:
        async with opened(dsn) as tables:
            row = await tables.until(workflow, "a", "completed", "discarded")
        process.send_signal(signal.SIGTERM)
        status, text = await ended(process)
    assert row.result == forked_children.EXPECTED[how], row.error
    assert status == 0
    # Only the worker itself says that it stops.
    assert text.count("a second signal ends at once") == 1
