"""Longer runs, and the mutants, as a command; see the package."""

from __future__ import annotations

import argparse
import logging
import sys
from time import monotonic

from baton import schema
from model.coverage import Coverage
from model.declared import MARKS, transitions
from model.machine import rules
from model.mutants import MUTANTS
from model.run import caught, check, database
from support.databases import create_database, run_apart
from support.servers import running_server

PORTION = 50
LONG = 1_000
"""Examples in which everything declared must have been seen."""


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _template(server: str) -> str:
    dsn = await create_database(server)
    await schema.migrate(dsn)
    return dsn.partition("?")[0].rpartition("/")[2]


def _mutants(dsn: str, examples: int, steps: int) -> int:
    missed = 0
    for name in MUTANTS:
        began, found = monotonic(), caught(dsn, name, examples, steps)
        missed += found is None
        told = f"{found.examples} examples, {found.steps} steps: {found.why}" if found else "MISSED"
        _say(f"{name}: {monotonic() - began:.0f} s, {' '.join(told.split())[:160]}")
    _say(f"{len(MUTANTS)} mutants, {missed} missed")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    parser.add_argument("--mutants", action="store_true", help="tell each mutant from the library")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with running_server() as server:
        template = run_apart(_template(server))
        with database(server, template) as dsn:
            if given.mutants:
                sys.exit(_mutants(dsn, given.examples, given.steps))
            began, coverage = monotonic(), Coverage()
            for number, start in enumerate(range(0, given.examples, PORTION)):
                chance = given.seed * 1_000_000 + number
                count = min(PORTION, given.examples - start)
                check(dsn, coverage, count, given.steps, chance, shrink=given.shrink)
                played = f"{coverage.examples} examples, {coverage.steps} steps"
                _say(f"{played}, {monotonic() - began:.0f} s")
            _say(coverage.table())
            blind = coverage.missing(rules(), transitions(), MARKS)
            if given.examples >= LONG and blind:
                _say("\nnever seen:\n  " + "\n  ".join(blind))
                sys.exit(1)


if __name__ == "__main__":
    main()
