"""A way that breaks at any round trip of any scenario loses nothing; see the package.

Here the way breaks at some points, in one of two ways in turn, and around the commits that matter
most a process is killed and a backend terminated. BATON_CRASH_POINTS=all breaks every point in
every way, as the command does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from crash_points.growth import GROWTH
from crash_points.own import OWN
from crash_points.place import create_places, drop_places
from crash_points.retries import RETRIES
from crash_points.runs import RUNS
from crash_points.scenarios import SCENARIOS
from crash_points.sweep import at, every, some, sweep
from crash_points.verbs import VERBS
from crash_points.waits import WAITS
from support.databases import run_apart
from support.proxy import Way

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
    "skipped": 12,
    "branches": 8,
    "failed_alternatives": 12,
    "snooze": 10,
    "cancel": 10,
    "rescue": 6,
    "settle_by_the_sweep": 20,
    "announce_by_the_sweep": 5,
    "prune": 8,
    "migrate": 16,
    "heartbeat": 4,
    "shutdown": 2,
    "own_transactions": 30,
    "own_transactions_beside_others": 30,
    "own_transactions_that_add": 40,
    "growth": 40,
    "growth_at_the_end": 40,
    "growth_below_failures": 40,
    "reused_id": 5,
    "clock_set_back": 6,
    "arm_a_gate": 5,
    "arm_what_has_come": 12,
    "suspend_and_resume": 12,
    "last_sibling_is_a_gate": 8,
    "rescue_what_resumed": 10,
    "send_to_a_gate": 1,
    "send_to_a_step": 1,
    "send_by_a_key": 2,
    "expire": 25,
    "expire_by_the_sweep": 25,
    "cancel_what_waits": 20,
    "cancel_waits": 15,
    "prune_waits": 15,
    "cancel_step": 10,
    "cancel_step_that_waits": 10,
    "pause_and_resume": 20,
    "retry_what_ended": 18,
    "retry_what_was_never_announced": 12,
    "retry_what_was_deleted": 12,
    "retry_what_runs": 18,
    "retry_a_wait": 12,
    "complete_step_that_runs": 10,
    "complete_step_that_failed": 15,
    "fork_what_ended": 12,
    "retry_a_fork": 12,
    "deadline": 12,
    "retry_many": 20,
}


@pytest.fixture(scope="module")
def places(server: str) -> Iterator[list[str]]:
    dsns = run_apart(create_places(server, PLACES))
    yield dsns
    run_apart(drop_places(server, dsns))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_broken_way(places: list[str], name: str) -> None:
    later = OWN | GROWTH | WAITS | RUNS | RETRIES | VERBS
    plans = every() if THOROUGH else some(3 if name in later else 8)
    played = await sweep(places, SCENARIOS[name], plans)
    assert played.faults == []
    assert len(played.boundaries) >= LEAST[name], played
    # How often an engine looks is not the same each time, above all on a busy machine.
    assert len(played.broken) > 0.3 * len(plans(played.boundaries)), played
    assert not (THOROUGH and played.idle), played.idle


# The commits that matter most, by what is said and how often before: a settlement that arms a gate,
# a step that goes to sleep, an event, an announcement.
COMMITS = {
    "arm_a_gate": ("baton_settle_and_claim", 2),
    "suspend_and_resume": ("baton_suspend", 1),
    "send_to_a_gate": ("baton_send", 1),
    "announce_by_the_sweep": ("Announces", 1),
    "own_transactions": ("COMMIT;", 1),
    "growth_at_the_end": ("Adds new steps", 1),
}
KINDS = [(False, Way.KILL), (True, Way.KILL), (True, Way.TERMINATE)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", COMMITS)
async def test_a_killed_process_and_a_terminated_backend(places: list[str], name: str) -> None:
    played = await sweep(places, SCENARIOS[name], at(*COMMITS[name], KINDS))
    assert played.faults == []
    assert len(played.broken) == len(KINDS), played


def test_each_scenario_is_known() -> None:
    assert LEAST.keys() == SCENARIOS.keys()
