"""A database that is away, full, read-only or out of connections; longer ones are a command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from baton.runtime import executor
from outages.run import endure
from outages.stops import stop_after
from outages.troubles import SETTINGS, TROUBLES
from support.restarting import RestartingServer, restarting_server


@pytest.fixture(scope="module")
def own_server() -> Iterator[RestartingServer]:
    with restarting_server(SETTINGS) as server:
        yield server


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("trouble", "seconds"), [*((trouble, 0.5) for trouble in TROUBLES), ("away", 5.0)]
)
async def test_what_a_trouble_meets_goes_on_after_it(
    own_server: RestartingServer, trouble: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "FAULT_DELAY", 0.1)
    report = await endure(own_server, trouble, seconds)
    assert report.faults == [], report
    assert set(report.refused) <= {"UnavailableError", "inserted"}, report
    assert "UnavailableError" in report.refused, report


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("completed", "twice"), [(1, False), (70, False), (45, True)])
async def test_a_worker_ends_in_time_and_loses_nothing(
    own_server: RestartingServer, completed: int, twice: bool
) -> None:
    """Among its steps one blocks a thread for ever."""
    stop = await stop_after(own_server, completed=completed, twice=twice)
    assert stop.faults == [], stop
    assert stop.left.get("completed", 0) >= completed, stop
