"""A short storm; the long one is a command, see the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.run import storm


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
