"""The whole library against a pure model; see the package `model`."""

from __future__ import annotations

import pytest

from model.coverage import Coverage
from model.mutants import QUICK
from model.run import caught, check, database

EXAMPLES = 15
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
        assert caught(dsn, mutant, EXAMPLES, STEPS)
