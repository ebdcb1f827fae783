"""The long rounds, as a command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from baton import schema
from keys.held import HELD, hold
from keys.rounds import engines, play
from support.databases import create_database
from support.restarting import restarting_server
from support.running import fast
from two_engines import truth

SETTINGS = {"fsync": "off", "full_page_writes": "off"}
P95 = 0.5
"""Seconds that an unrelated workflow may take beside a long transaction, in 95 of 100 cases."""


def _say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


async def _play(rounds: int, keys: int, waits: int, processes: int) -> int:
    faults = 0
    with restarting_server(SETTINGS) as server, tempfile.TemporaryDirectory() as folder:
        dsn = await create_database(server.dsn)
        await schema.migrate(dsn)
        await truth.create(dsn)
        async with (
            engines(dsn, Path(folder), processes) as berths,
            fast(dsn, name="application", queues={}) as engine,
        ):
            for number in range(rounds):
                when = ("early", "late")[number % 2]
                report = await play(engine, berths, when, keys, waits, quiet=60 + waits / 20)
                faults += len(report.faults)
                _say({"round": number + 1, **asdict(report)})
        faults += sum(len(berth.faults) for berth in berths)
    _say({"rounds": rounds, "faults": faults})
    return faults


async def _hold(seconds: float) -> int:
    faults = 0
    with restarting_server(SETTINGS) as server:
        for what in HELD:
            dsn = await create_database(server.dsn)
            await schema.migrate(dsn)
            found = await hold(dsn, what, seconds)
            faults += found.p95 > P95 or not found.ended
            _say(asdict(found))
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.keys")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--waits", type=int, default=3_000, help="of one round, and its events")
    parser.add_argument("--keys", type=int, default=20)
    parser.add_argument("--engines", type=int, default=3)
    parser.add_argument("--held", type=float, default=0.0, help="seconds of each long transaction")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    faults = 0
    if given.rounds:
        faults += asyncio.run(_play(given.rounds, given.keys, given.waits, given.engines))
    if given.held:
        faults += asyncio.run(_hold(given.held))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
