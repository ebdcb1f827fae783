"""Diamonds of mixed fate."""

from __future__ import annotations

import random

from two_engines.graphs import Graph, chances
from two_engines.workers import Plan

DEPS: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
"""a, then b and c, then d."""

SOUND = Graph(DEPS, dict.fromkeys(DEPS, Plan.SUCCEED))


def diamond(chance: random.Random) -> Graph:
    return Graph(DEPS, *chances(chance, list(DEPS)))
