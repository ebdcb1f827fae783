"""Whether what was sampled stayed flat. Pure: samples in, findings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from statistics import median
from typing import NamedTuple

Sample = Mapping[str, float]

QUARTERS = 4


class Bound(NamedTuple):
    """The last quarter's median may be this much above an earlier quarter's (0 is the first)."""

    against: int
    factor: float
    slack: float


KB, MB = 1024, 1024 * 1024

# The first that fits a series counts; what none fits is only reported.
BOUNDS: dict[str, Bound] = {
    "rss": Bound(against=1, factor=1.10, slack=8 * MB),
    "tasks": Bound(against=1, factor=1.10, slack=10),
    "connections": Bound(against=1, factor=1.0, slack=2),
    "locks": Bound(against=1, factor=1.5, slack=20),
    "dead tuples": Bound(against=1, factor=1.5, slack=5_000),
    # Tables are judged by what they and their indexes take together, and each index by itself.
    "table *": Bound(against=1, factor=1.25, slack=512 * KB),
    "index *": Bound(against=1, factor=1.25, slack=256 * KB),
    "latency p99": Bound(against=0, factor=1.5, slack=0.005),
}


def bound_of(series: str) -> Bound | None:
    return next((bound for name, bound in BOUNDS.items() if fnmatchcase(series, name)), None)


def medians(samples: Sequence[Sample]) -> dict[str, list[float | None]]:
    """By series, the median of each quarter of the samples; None where a quarter has none."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    edges = [len(samples) * quarter // QUARTERS for quarter in range(QUARTERS + 1)]
    found: dict[str, list[float | None]] = {}
    for name in names:
        found[name] = []
        for begin, end in pairwise(edges):
            values = [sample[name] for sample in samples[begin:end] if name in sample]
            found[name].append(median(values) if values else None)
    return found


def growth(samples: Sequence[Sample], most: Mapping[str, float]) -> list[str]:
    """What grew past its bound, as text; empty when all stayed flat. A series that cannot be judged
    is a finding too. `most`: what a series may come to by its settings, however late it does.
    """
    found: list[str] = []
    series = medians(samples)
    for name in BOUNDS:
        if not any(fnmatchcase(one, name) for one in series):
            found.append(f"{name} was never sampled")
    for name, quarters in series.items():
        bound = bound_of(name)
        if bound is None:
            continue
        before, last = quarters[bound.against], quarters[-1]
        if before is None or last is None:
            found.append(f"{name} was not sampled in every quarter: {quarters}")
            continue
        limit = max(before * bound.factor + bound.slack, most.get(name, 0.0))
        if last > limit:
            found.append(
                f"{name} grew: {last:g} in the last quarter, at most {limit:g} after {before:g}"
            )
    return found
