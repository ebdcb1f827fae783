"""The large size, as a command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import sys
from urllib.parse import urlsplit

from baton import schema
from support.databases import create_database, drop_database
from support.servers import running_server
from two_engines import truth
from two_engines.run import one_round


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _rounds(server: str, workflows: int, rounds: int, processes: int, seed: int) -> int:
    dsn = await create_database(server)
    wrong = 0
    try:
        await schema.migrate(dsn)
        await truth.create(dsn)
        _say(f"{processes} processes on {urlsplit(dsn).path[1:]}")
        for number in range(1, rounds + 1):
            figures = await one_round(dsn, workflows, seed + number, processes)
            wrong += len(figures.faults)
            _say(f"round {number}: {figures}")
    finally:
        await drop_database(server, dsn)
    _say(f"{rounds} rounds, {rounds * workflows} workflows, {wrong} faults")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.two_engines")
    parser.add_argument("--workflows", type=int, default=150, help="diamonds per round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the diamonds' fates")
    given = parser.parse_args()
    with running_server() as server:
        wrong = asyncio.run(
            _rounds(server, given.workflows, given.rounds, given.processes, given.seed)
        )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
