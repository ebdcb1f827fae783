"""Longer runs, and the mutants, as a command; see the package."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
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


def _mutants(dsn: str, names: Sequence[str], examples: int, steps: int) -> int:
    # What the library itself does not pass would tell nothing of its mutants.
    check(dsn, Coverage(), examples, steps, shrink=False)
    missed = 0
    for name in names:
        began, found = monotonic(), caught(dsn, name, examples, steps)
        missed += found is None
        told = f"{found.examples} examples, {found.steps} steps: {found.why}" if found else "MISSED"
        _say(f"{name}: {monotonic() - began:.0f} s, {' '.join(told.split())[:160]}")
    _say(f"{len(names)} mutants, {missed} missed")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.model")
    parser.add_argument("--examples", type=int, default=LONG)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="play no longer than so")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    parser.add_argument("names", nargs="*", metavar="mutant", help=", ".join(MUTANTS))
    parser.add_argument("--mutants", action="store_true", help="tell each mutant from the library")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in MUTANTS]:
        parser.error(f"no mutant {', '.join(unknown)}; there are: {', '.join(MUTANTS)}")
    if given.names and not given.mutants:
        parser.error("mutants are named with --mutants")
    if min(given.examples, given.steps) < 1:
        parser.error("--examples and --steps are at least 1")
    logging.disable(logging.CRITICAL)
    with running_server() as server:
        template = run_apart(_template(server))
        with database(server, template) as dsn:
            if given.mutants:
                sys.exit(_mutants(dsn, given.names or list(MUTANTS), given.examples, given.steps))
            coverage = Coverage()
            try:
                _play(dsn, coverage, given)
            finally:
                _say(coverage.table())
            blind = coverage.missing(rules(), transitions(), MARKS)
            if blind:
                _say("\nnever seen:\n  " + "\n  ".join(blind))
                if coverage.examples >= LONG:
                    sys.exit(1)
                _say(f"\nno fault in fewer than {LONG} examples")


def _play(dsn: str, coverage: Coverage, given: argparse.Namespace) -> None:
    began = monotonic()
    for number, start in enumerate(range(0, given.examples, PORTION)):
        if monotonic() - began > 60 * given.minutes:
            break
        count = min(PORTION, given.examples - start)
        chance = given.seed * 1_000_000 + number
        check(dsn, coverage, count, given.steps, chance, shrink=given.shrink)
        played = f"{coverage.examples} examples, {coverage.steps} steps"
        _say(f"{played}, {monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
