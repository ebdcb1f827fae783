"""Plays one scenario for every point at which its way may break."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, product

import pytest

from baton.engine import runtime
from baton.words.errors import UnavailableError
from crash_points.place import DEADLINE, LedgerHere, Place, place
from crash_points.scenarios import Scenario
from support.proxy import Cut
from two_engines.workers import Planned

ALL = tuple(product((False, True), (False, True)))
"""Before and after, with the connection alone and with the whole process."""
# What a crash leaves before a round trip is what it leaves after the one before.
CRASH_BEFORE = (False, True)
REPLY_LOST = (True, False)
SOME = 8


def plans(boundaries: int, *, thorough: bool) -> list[Cut]:
    """All ways at every boundary; or, at some from the first to the last, one of the two that
    differ most, in turn.
    """
    if thorough:
        return [Cut(number, *way) for number in range(1, boundaries + 1) for way in ALL]
    chosen = sorted({1 + round(n * (boundaries - 1) / (SOME - 1)) for n in range(SOME)})
    ways = cycle((CRASH_BEFORE, REPLY_LOST))
    return [Cut(number, *way) for number, way in zip(chosen, ways, strict=False)]


@dataclass
class Played:
    """What came of a scenario: the statements at its boundaries, and the points where it broke."""

    boundaries: list[str] = field(default_factory=list)
    broken: list[Cut] = field(default_factory=list)
    missed: list[Cut] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{len(self.boundaries)} boundaries, {len(self.broken)} crash points, "
            f"{len(self.missed)} not reached, {len(self.faults)} faults"
        )


async def sweep(dsns: Sequence[str], scenario: Scenario, *, thorough: bool = False) -> Played:
    """Play a scenario once whole, then broken at every point; at once on as many databases."""
    Planned.ledger = LedgerHere()
    played = Played()
    patience, runtime.FLUSH_TIMEOUT = runtime.FLUSH_TIMEOUT, 0.1
    try:
        async with place(dsns[0]) as whole:
            played.boundaries = await play(whole, scenario, None, played.faults)
        left = iter(plans(len(played.boundaries), thorough=thorough))

        async def work(dsn: str) -> None:
            for plan in left:
                async with place(dsn) as one:
                    await play(one, scenario, plan, played.faults)
                    (played.broken if one.proxy.cut.is_set() else played.missed).append(plan)

        async with asyncio.TaskGroup() as working:
            for dsn in dsns:
                working.create_task(work(dsn))
    finally:
        runtime.FLUSH_TIMEOUT = patience
    return played


async def play(place: Place, scenario: Scenario, plan: Cut | None, found: list[str]) -> list[str]:
    """Play a scenario once; its boundaries. What is wrong at the end is added to `found`."""
    place.plan = plan
    try:
        await _act(place, scenario)
        boundaries = list(place.proxy.boundaries)
        await place.finish()
        faults = await place.faults()
    except (Exception, pytest.fail.Exception) as error:
        found.append(f"{_where(place, scenario)}: {error!r}")
        return list(place.proxy.boundaries)
    if faults:
        found.append("\n    ".join((_where(place, scenario), *faults)))
    return boundaries


def _where(place: Place, scenario: Scenario) -> str:
    said = place.proxy.boundaries[: place.plan.boundary] if place.plan else []
    return f"{scenario.__name__}: {place.plan}: {' '.join(said[-1].split())[:200] if said else ''}"


async def _act(place: Place, scenario: Scenario) -> None:
    acting = asyncio.ensure_future(scenario(place))
    cut = asyncio.ensure_future(place.proxy.cut.wait())
    try:
        async with asyncio.timeout(2 * DEADLINE):
            await asyncio.wait((acting, cut), return_when=asyncio.FIRST_COMPLETED)
            if cut.done() and place.plan is not None and place.plan.crash:
                acting.cancel()
            await asyncio.wait((acting,))
        # The call was lost, and says so: whoever made it makes it again.
        if not acting.cancelled() and not isinstance(acting.exception(), UnavailableError):
            acting.result()
    finally:
        for task in (acting, cut):
            task.cancel()
        await asyncio.gather(acting, cut, return_exceptions=True)
