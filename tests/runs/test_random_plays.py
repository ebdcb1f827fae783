"""Random plays of workflows with conditions and alternatives: see `races/play.py`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from model.editing import Edit, mutated, mutated_schema
from races.arena import Arena, arena
from races.oracle import CANCEL, HOLD, RUN, SKIP, Above, Rules, says
from races.play import KINDS, faults

PLAYS = int(os.environ.get("BATON_PLAYS", "8"))
"""How many plays of each kind."""
FIRST = int(os.environ.get("BATON_FIRST_PLAY", "0"))
"""The number of the first."""


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[Arena]:
    async with arena(dsn) as made:
        yield made


@pytest.mark.timeout(60 + 5 * PLAYS)
@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_runs_that_may_not_and_all_ends(ring: Arena, kind: str) -> None:
    for number in range(FIRST, FIRST + PLAYS):
        found = await faults(ring, number, kind)
        assert not found, "\n".join(found)


# Each would be seen by what was claimed, by an invariant, or by what has not ended.
VARIANTS = {
    "every condition is met": Edit("baton_unmet", "IF NOT FOUND THEN", "IF true THEN"),
    "each alternative that completes counts": Edit(
        "baton_settle_and_claim", "AND n.any_of_state IS NULL", ""
    ),
    "a reset alternative has failed": Edit(
        "baton_any_of", "WHEN bool_or(a.state IS NULL) THEN NULL", ""
    ),
    "a resume decides nothing": Edit(
        "resume_workflow", "n.waits OR n.undecided AS opens", "n.waits AS opens"
    ),
}
MOST = 60
"""Plays in which a variant is seen; it ends with the first."""


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_naive_variant_is_seen(ring: Arena, dsn: str, variant: str) -> None:
    edits = (VARIANTS[variant],)
    async with mutated_schema(dsn, edits):
        with mutated(ring.right.sql, edits):
            for number in range(MOST):
                if await faults(ring, number, "by the rules"):
                    return
    pytest.fail(f"not seen in {MOST} plays")


@pytest.mark.parametrize(
    ("rules", "states", "verdict"),
    [
        (Rules(), "completed", RUN),
        (Rules(), "completed open", HOLD),
        (Rules(), "open discarded", CANCEL),
        (Rules(frozenset({"discarded"})), "discarded", RUN),
        (Rules(), "skipped completed", RUN),
        (Rules(), "skipped skipped", SKIP),
        (Rules(run_when_skipped=True), "skipped", RUN),
        (Rules(), "|completed open", RUN),
        (Rules(), "|cancelled open", HOLD),
        (Rules(), "|cancelled skipped", SKIP),
        (Rules(), "|cancelled discarded", CANCEL),
        (Rules(condition={"when": {"n0": 1}}), "completed", SKIP),
        (Rules(condition={"when": {"n0": 0}}), "completed", RUN),
        (Rules(condition={"when": {"n0": 0}}), "completed open", HOLD),
        (Rules(condition={"unless": {"n0": 0, "n1": 1}}), "completed completed", SKIP),
        (Rules(condition={"unless": {"n0": 0, "n1": 2}}), "completed completed", RUN),
        (Rules(frozenset({"cancelled"}), condition={"on_failure": True}), "cancelled", RUN),
        (Rules(condition={"on_failure": True}), "completed", SKIP),
    ],
)
def test_the_oracle_says_what_the_tables_of_the_gate_say(
    rules: Rules, states: str, verdict: str
) -> None:
    """After | come alternatives; the value of n0 is 0, of n1 is 1."""
    needed, _, alternatives = states.partition("|")
    above = [(state, False) for state in needed.split()]
    above += [(state, True) for state in alternatives.split()]
    found = [
        Above(
            f"n{number}",
            None if state == "open" else state,
            alternative,
            number if state == "completed" else None,
        )
        for number, (state, alternative) in enumerate(above)
    ]
    assert says(rules, found) == verdict
