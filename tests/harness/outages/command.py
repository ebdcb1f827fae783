"""The command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
from dataclasses import asdict

from outages.run import endure
from outages.silence import SILENCE_SETTINGS, Ending, Silence, end_in_silence
from outages.stops import CHAINS, stop_after
from outages.troubles import SETTINGS, TROUBLES
from support.restarting import restarting_server

RECOVERY = 10.0
LATEST = 4.0
PROCESSES = 4
"""How many worker processes end at once."""
MOST = 4 * CHAINS


def _say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


async def _all(seconds: float, stops: int, silent: int, seed: int) -> int:
    chance = random.Random(seed)
    faults = await _silences(silent, chance)
    with restarting_server(SETTINGS) as server:
        for trouble in TROUBLES if seconds else ():
            report = await endure(server, trouble, seconds)
            if report.recovered_after > RECOVERY:
                report.faults.append(f"recovered only after {report.recovered_after} s")
            faults += len(report.faults)
            _say(asdict(report))
        for number in range(stops):
            stop = await stop_after(
                server,
                # By the clock, which may find it at its start, or by what it has done.
                seconds=chance.uniform(0.0, LATEST) if number % 3 == 0 else 0.0,
                completed=chance.randint(1, MOST) if number % 3 else 0,
                twice=number % 4 == 1,
                dead=number % 4 == 3,
            )
            faults += len(stop.faults)
            _say(asdict(stop))
    _say({"seed": seed, "troubles": len(TROUBLES), "stops": stops, "faults": faults})
    return faults


async def _silences(count: int, chance: random.Random) -> int:
    """Every way to end, `count` times, in every kind of silence."""
    faults = 0
    with restarting_server(SILENCE_SETTINGS) as server:
        for silence in Silence if count else ():
            for ending in Ending:
                left = count
                # More interpreters that end at once would measure the processors.
                at_once = PROCESSES if ending is Ending.WORKER else count
                while left > 0:
                    size = min(left, at_once)
                    (ends,) = await end_in_silence(server, silence, [ending], size, chance)
                    faults += len(ends.faults)
                    left -= size
                    _say(asdict(ends))
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.outages")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each trouble lasts")
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument(
        "--silent", type=int, default=20, help="how many end in each kind of silence"
    )
    parser.add_argument("--seed", type=int, help="of the moments of the stops; else by chance")
    given = parser.parse_args()
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    logging.getLogger("baton").propagate = False
    sys.exit(1 if asyncio.run(_all(given.seconds, given.stops, given.silent, seed)) else 0)


if __name__ == "__main__":
    main()
