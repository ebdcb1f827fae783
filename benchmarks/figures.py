"""From raw runs to figures and ratios. Pure.

A ratio is taken round by round, between runs that followed each other, then the median of those:
what the machine does meanwhile hits both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.runs import Run
from benchmarks.systems import FLOOR

STEPS = "steps/s"
INSERTED = "inserted/s"
STEP_MS = "ms/step"


@dataclass(frozen=True)
class Figure:
    workload: str
    system: str
    metric: str
    rounds: dict[int, float]

    @property
    def median(self) -> float:
        return median(self.rounds.values())

    def as_json(self) -> dict[str, Any]:
        values = list(self.rounds.values())
        return {
            "workload": self.workload,
            "system": self.system,
            "metric": self.metric,
            "median": self.median,
            "lowest": min(values),
            "highest": max(values),
            "rounds": values,
        }


@dataclass(frozen=True)
class Ratio:
    what: str
    median: float
    lowest: float
    highest: float


class Figures:
    def __init__(self, runs: Iterable[Run]) -> None:
        self._figures: dict[tuple[str, str, str], Figure] = {}
        for run in runs:
            for metric, value in _metrics(run).items():
                key = (run.workload, run.system, metric)
                figure = self._figures.setdefault(key, Figure(*key, rounds={}))
                figure.rounds[run.round] = value

    @property
    def all(self) -> list[Figure]:
        return list(self._figures.values())

    def get(self, workload: str | None, system: str, metric: str) -> Figure | None:
        return self._figures.get((workload or "", system, metric))


def ratio(what: str, left: Figure | None, right: Figure | None) -> Ratio | None:
    """How many times as fast `left` is as `right`; None when one is missing."""
    if left is None or right is None:
        return None
    rounds = sorted(left.rounds.keys() & right.rounds.keys())
    quotients = [left.rounds[number] / right.rounds[number] for number in rounds]
    if left.metric.startswith("ms"):
        quotients = [1 / quotient for quotient in quotients]
    if not quotients:
        return None
    return Ratio(what, median(quotients), min(quotients), max(quotients))


def best(figures: Iterable[Figure]) -> Figure | None:
    """The fastest by its median; None of none."""
    ranked = sorted(figures, key=lambda figure: figure.median)
    if not ranked:
        return None
    return ranked[0] if ranked[0].metric == STEP_MS else ranked[-1]


def _metrics(run: Run) -> dict[str, float]:
    result = run.result
    if result is None:
        return {}
    if run.workload == FLOOR:
        return dict(result["figures"])
    steps = result["steps"]
    if run.workload.startswith("C"):
        return {STEP_MS: result["span_seconds"] / (steps - 1) * 1_000}
    return {
        STEPS: steps / result["drain_seconds"],
        INSERTED: steps / result["insert_seconds"],
    }
