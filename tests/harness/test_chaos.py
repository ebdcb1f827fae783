"""Short storms; the long ones are a command, see the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.run import Weather, storm


@pytest.mark.timeout(180)
async def test_a_short_storm(tmp_path: Path) -> None:
    report = await storm(tmp_path, seed=1, seconds=10.0, engines=2, most_open=20)
    assert report.faults == [], report
    assert report.settled == report.workflows > 50, report
    assert report.kills >= 3, report
    assert report.restarts_fast + report.restarts_immediate >= 1, report
    assert report.blackholes >= 1, report
    assert min(report.waits_by_end[end] for end in ("completed", "timeout")) > 0, report
    assert report.cancelled > 0, report
    assert min(report.acted_on, len(report.verbs)) > 3, report


@pytest.mark.timeout(180)
async def test_a_short_storm_with_refused_writes(tmp_path: Path) -> None:
    weather = Weather(refused=0.05)
    report = await storm(tmp_path, 2, seconds=10.0, engines=2, most_open=20, weather=weather)
    assert report.faults == [], report
    assert report.settled == report.workflows > 30, report
    assert report.kills >= 3, report
    assert min(report.guilty, report.refusals) > 0, report


@pytest.mark.timeout(180)
async def test_refused_writes_make_no_innocent_step_late(tmp_path: Path) -> None:
    weather = Weather(refused=0.05, calm=True)
    report = await storm(tmp_path, 3, seconds=10.0, engines=2, most_open=10, weather=weather)
    assert report.faults == [], report
    assert report.settled == report.workflows > 20, report
    assert min(report.guilty, report.refusals, report.named) > 0, report
    assert report.kills + report.rescues == 0, report
