"""Some seconds of a soak, and the judge of the long one, who must be able to condemn."""

from __future__ import annotations

import math

import pytest

from soak.run import soak
from soak.verdict import BOUNDS, QUARTERS, bound_of, growth, medians

POOLS = {"connections": 20.0}
LEVELS = {
    "rss": 60e6,
    "tasks": 9.0,
    "connections": 8.0,
    "locks": 12.0,
    "dead tuples": 4_000.0,
    "table oban_jobs": 5e6,
    "index oban_jobs_pkey": 4e5,
    "latency p99": 0.04,
}


def series(**slopes: float) -> list[dict[str, float]]:
    """400 samples that swing around their levels; those named grow to so many times theirs."""
    chosen = {name.replace("_", " ", 1): slope for name, slope in slopes.items()}
    return [
        {
            name: level
            * (1 + 0.05 * math.sin(number))
            * (1 + (chosen.get(name, 1) - 1) * number / 400)
            for name, level in LEVELS.items()
        }
        for number in range(400)
    ]


def test_what_swings_around_its_level_is_flat() -> None:
    assert growth(series(), POOLS) == []


@pytest.mark.parametrize("name", LEVELS)
def test_what_leaks_is_found(name: str) -> None:
    (found,) = growth(series(**{name.replace(" ", "_", 1): 8.0}), POOLS)
    assert found.startswith(f"{name} grew: ")


def test_a_slow_leak_of_memory_is_found() -> None:
    """60 MB that become 102 in the run: 70 in the second quarter, 97 in the last."""
    (found,) = growth(series(rss=1.7), POOLS)
    assert found.startswith("rss grew")


def test_warming_up_is_no_leak() -> None:
    warm = [
        dict(sample, rss=sample["rss"] * min(1, (20 + n) / 80)) for n, sample in enumerate(series())
    ]
    assert growth(warm, POOLS) == []


def test_a_pool_that_fills_late_is_no_leak() -> None:
    late = [dict(sample, connections=12.0 + n // 50) for n, sample in enumerate(series())]
    assert growth(late, POOLS) == []
    (found,) = growth(late, {"connections": 15.0})
    assert found.startswith("connections grew: 18.5 in the last quarter, at most 16.5")


def test_one_bad_moment_is_no_growth() -> None:
    samples = series()
    for sample in samples[350:370]:
        sample["latency p99"] = 9.0
    assert growth(samples, POOLS) == []


def test_what_was_not_sampled_is_no_success() -> None:
    assert growth([], POOLS) == [f"{name} was never sampled" for name in BOUNDS]
    samples = [{k: v for k, v in sample.items() if k != "rss"} for sample in series()]
    assert growth(samples, POOLS) == ["rss was never sampled"]
    half = [dict(sample) for sample in series()]
    for sample in half[300:]:
        del sample["latency p99"]
    (found,) = growth(half, POOLS)
    assert found.startswith("latency p99 was not sampled in every quarter")


def test_medians_are_of_quarters() -> None:
    samples = [{"x": float(number)} for number in range(8)]
    assert medians(samples) == {"x": [0.5, 2.5, 4.5, 6.5]}
    assert len(medians([{"x": 1.0}])["x"]) == QUARTERS
    assert bound_of("index oban_jobs_pkey") is BOUNDS["index *"]
    assert bound_of("latency p50") is None


async def test_some_seconds_of_it(dsn: str) -> None:
    report = await soak(
        dsn, seconds=1.0, rate=40, every=0.2, age=0.5, sweeps=0.25, seed=4, judged=False
    )
    assert report.faults == [], report
    assert report.announced == sum(report.workflows.values()) > 20, report
    assert report.samples >= 2, report
    assert report.pruned > 0, report
    assert {name for name in BOUNDS if "*" not in name} <= report.quarters.keys(), report
    assert {"table oban_jobs", "index oban_jobs_pkey"} <= report.quarters.keys()
