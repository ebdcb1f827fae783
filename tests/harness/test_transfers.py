"""A short storm over transfers in steps' own transactions; see `transfers`."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfers.run import storm

TRANSFERS = 300


@pytest.mark.timeout(240)
async def test_each_transfer_is_made_once(tmp_path: Path) -> None:
    report = await storm(tmp_path, seed=1, transfers=TRANSFERS, accounts=50, engines=2, length=6.0)
    assert report.faults == [], report
    assert report.completed + report.by_hand + report.cancelled == TRANSFERS
    assert report.done["kill"] > 0


@pytest.mark.timeout(240)
async def test_the_naive_variant_makes_some_twice_or_in_vain(tmp_path: Path) -> None:
    """By chance, so whichever storm shows it is enough."""
    for seed in range(1, 5):
        report = await storm(
            tmp_path, seed, transfers=TRANSFERS, accounts=50, engines=2, naive=True, length=6.0
        )
        if report.twice + report.stray:
            break
    assert report.twice + report.stray > 0, report
    assert report.missing == 0
