"""A way that breaks at any round trip of any scenario loses nothing; see the package.

Here the way breaks at some points, in one of two ways in turn. BATON_CRASH_POINTS=all breaks it at
every point in all four ways, as the command does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from crash_points.place import create_places, drop_places
from crash_points.scenarios import SCENARIOS
from crash_points.sweep import every, some, sweep
from crash_points.waits import WAITS
from support.databases import run_apart

PLACES = 4
THOROUGH = os.environ.get("BATON_CRASH_POINTS") == "all"

# Round trips that each scenario had at least, when this was written.
LEAST = {
    "start": 12,
    "insert": 4,
    "claim_and_settle": 5,
    "last_sibling": 7,
    "retry": 10,
    "exhausted": 15,
    "given_up": 13,
    "snooze": 10,
    "cancel": 10,
    "rescue": 6,
    "settle_by_the_sweep": 20,
    "announce_by_the_sweep": 5,
    "prune": 8,
    "migrate": 20,
    "heartbeat": 4,
    "shutdown": 2,
    "arm_a_gate": 3,
    "arm_what_has_come": 3,
    "suspend_and_resume": 3,
    "last_sibling_is_a_gate": 3,
    "rescue_what_resumed": 3,
    "send_to_a_gate": 1,
    "send_to_a_step": 1,
    "send_by_a_key": 2,
    "expire": 3,
    "expire_by_the_sweep": 3,
    "cancel_what_waits": 3,
    "cancel_waits": 3,
    "prune_waits": 3,
}


@pytest.fixture(scope="module")
def places(server: str) -> Iterator[list[str]]:
    dsns = run_apart(create_places(server, PLACES))
    yield dsns
    run_apart(drop_places(server, dsns))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_broken_way(places: list[str], name: str) -> None:
    plans = every() if THOROUGH else some(4 if name in WAITS else 8)
    played = await sweep(places, SCENARIOS[name], plans)
    assert played.faults == []
    assert len(played.boundaries) >= LEAST[name], played
    assert len(played.broken) > 0.7 * len(plans(played.boundaries)), played


def test_each_scenario_is_known() -> None:
    assert LEAST.keys() == SCENARIOS.keys()
