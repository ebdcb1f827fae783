"""The whole library against a pure model; see the package `model`."""

from __future__ import annotations

import pytest

from baton.errors import DatabaseError
from baton.store.sql import Sql
from model.coverage import Coverage
from model.editing import Edit, LostPlaceError, mutated, mutated_schema
from model.mutants import MUTANTS, QUICK
from model.run import caught, check, database
from model.world import World

EXAMPLES = 15
MOST_EXAMPLES = 100
"""Until a mutant is found: it ends with the first that tells it."""
STEPS = 30


@pytest.mark.timeout(300)
def test_the_library_agrees_with_the_model(server: str, template: str) -> None:
    with database(server, template) as dsn:
        coverage = Coverage()
        check(dsn, coverage, EXAMPLES, STEPS)
        # It would agree, too, if nothing happened.
        assert coverage.steps > 10 * EXAMPLES, coverage.table()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", QUICK)
def test_a_mutant_is_told_from_the_library(server: str, template: str, mutant: str) -> None:
    with database(server, template) as dsn:
        assert caught(dsn, mutant, MOST_EXAMPLES, STEPS)


async def test_every_mutant_has_its_place(dsn: str) -> None:
    for edits in MUTANTS.values():
        async with mutated_schema(dsn, edits):
            with mutated(Sql("baton"), edits):
                pass


def test_a_mutant_that_has_lost_its_place_is_not_caught(
    server: str, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database(server, template) as dsn:
        for place in ("baton_send", "hold_jobs"):
            monkeypatch.setitem(MUTANTS, "lost", (Edit(place, "what is not there", ""),))
            with pytest.raises(LostPlaceError, match=place):
                caught(dsn, "lost", 1, 1)


def test_a_mutant_that_cannot_run_is_not_caught(
    server: str, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = Edit("baton_settle_and_claim", "greatest(n.pending", "greatest(n.no_such_column")
    monkeypatch.setitem(MUTANTS, "broken", (edit,))
    with (
        database(server, template) as dsn,
        pytest.raises(DatabaseError, match="no_such_column"),
    ):
        caught(dsn, "broken", EXAMPLES, STEPS)


def test_an_end_that_nobody_is_told_of_is_noticed(
    server: str, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "_hear", lambda world, event: None)
    with database(server, template) as dsn, pytest.raises(AssertionError, match="not told after"):
        check(dsn, Coverage(), EXAMPLES, STEPS, shrink=False)
