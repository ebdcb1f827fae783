"""Plays one scenario for every point at which its way may break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, product

import pytest

from baton.errors import UnavailableError
from baton.runtime import runtime
from crash_points.actor import FLUSH_TIMEOUT
from crash_points.place import DEADLINE, LedgerHere, Place, place
from crash_points.waits import Scenario
from support.proxy import Cut, Way
from two_engines.workers import Planned

# What a crash leaves before a round trip is what it leaves after the one before.
CRASH_BEFORE = (False, Way.CRASH)
REPLY_LOST = (True, Way.LOST)

Plans = Callable[[Sequence[str]], list[Cut]]
"""Where and how to break, given what is said at each boundary."""


def every(ways: Iterable[Way] = tuple(Way)) -> Plans:
    """Before and after every boundary, in all of these ways."""
    kinds = list(product((False, True), ways))
    return lambda said: [Cut(at, *kind) for at in range(1, len(said) + 1) for kind in kinds]


def some(count: int) -> Plans:
    """At some boundaries from the first to the last, in one of the two ways that differ most, in
    turn.
    """

    def plans(said: Sequence[str]) -> list[Cut]:
        chosen = sorted({1 + round(n * (len(said) - 1) / (count - 1)) for n in range(count)})
        kinds = cycle((CRASH_BEFORE, REPLY_LOST))
        return [Cut(at, *kind) for at, kind in zip(chosen, kinds, strict=False)]

    return plans


def at(words: str, nth: int, kinds: Sequence[tuple[bool, Way]]) -> Plans:
    """At the nth boundary where these words are said: after it or before, in which way."""
    return lambda said: [Cut(nth, *kind, words) for kind in kinds]


@dataclass
class Played:
    """What came of a scenario: the statements at its boundaries, and the points where it broke."""

    boundaries: list[str] = field(default_factory=list)
    broken: list[Cut] = field(default_factory=list)
    missed: list[Cut] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def idle(self) -> set[Way]:
        """Ways that were planned and never broke anything."""
        return {cut.way for cut in self.missed} - {cut.way for cut in self.broken}

    def __str__(self) -> str:
        return (
            f"{len(self.boundaries)} boundaries, {len(self.broken)} crash points, "
            f"{len(self.missed)} not reached, {len(self.faults)} faults"
        )


async def sweep(dsns: Sequence[str], scenario: Scenario, plans: Plans) -> Played:
    """Play a scenario once whole, then broken as planned; at once on as many databases."""
    Planned.ledger = LedgerHere()
    played = Played()
    patience, runtime.FLUSH_TIMEOUT = runtime.FLUSH_TIMEOUT, FLUSH_TIMEOUT
    try:
        async with place(dsns[0]) as whole:
            played.boundaries = await play(whole, scenario, None, played.faults)
        left = iter(plans(played.boundaries))

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
        found.append("\n    ".join((_where(place, scenario), *map(str, faults))))
    return boundaries


def _where(place: Place, scenario: Scenario) -> str:
    return f"{scenario.__name__}: {place.plan}: {' '.join(place.proxy.struck.split())[:200]}"


async def _act(place: Place, scenario: Scenario) -> None:
    acting = asyncio.ensure_future(scenario(place))
    cut = asyncio.ensure_future(place.proxy.cut.wait())
    try:
        async with asyncio.timeout(2 * DEADLINE):
            await asyncio.wait((acting, cut), return_when=asyncio.FIRST_COMPLETED)
            dead = place.plan is not None and place.plan.way.ends_all
            if cut.done() and dead:
                acting.cancel()
            await asyncio.wait((acting,))
        if place.proxy.cut.is_set() and dead:
            return
        if acting.cancelled():
            raise AssertionError("a call ended as if it had been cancelled")
        # The call was lost, and says so: whoever made it makes it again.
        if not isinstance(acting.exception(), UnavailableError):
            acting.result()
    finally:
        for task in (acting, cut):
            task.cancel()
        await asyncio.gather(acting, cut, return_exceptions=True)
