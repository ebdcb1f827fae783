"""All points and all ways, as a command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from time import monotonic

from crash_points.place import create_places, drop_places
from crash_points.scenarios import SCENARIOS
from crash_points.sweep import every, sweep
from support.proxy import Way
from support.servers import running_server


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _sweep(
    server: str, names: Sequence[str], ways: Sequence[Way], places: int, *, statements: bool
) -> int:
    points, wrong = 0, 0
    dsns = await create_places(server, places)
    try:
        for name in names:
            began = monotonic()
            played = await sweep(dsns, SCENARIOS[name], every(ways))
            points += len(played.broken)
            wrong += len(played.faults)
            _say(f"{name}: {played}, {monotonic() - began:.1f} s")
            wrong += len(played.idle)
            for way in ways:
                _say(f"    {way}: {sum(cut.way is way for cut in played.broken)} crash points")
            for number, statement in enumerate(played.boundaries if statements else (), 1):
                _say(f"    {number}: {' '.join(statement.split())[:100]}")
            for way in played.idle:
                _say(f"    {way}: it never broke")
            for fault in played.faults:
                _say(f"    {fault}")
    finally:
        await drop_places(server, dsns)
    _say(f"{len(names)} scenarios, {points} crash points, {wrong} faults")
    return wrong


def _way(name: str) -> Way:
    if name.upper() not in Way.__members__:
        raise argparse.ArgumentTypeError(f"no way to break {name!r}")
    return Way[name.upper()]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.crash_points")
    parser.add_argument("names", nargs="*", metavar="scenario", help=", ".join(SCENARIOS))
    parser.add_argument("--places", type=int, default=4, help="databases used at once")
    parser.add_argument(
        "--ways",
        nargs="+",
        type=_way,
        default=list(Way),
        metavar="way",
        help=", ".join(way.name.lower() for way in Way),
    )
    parser.add_argument("--statements", action="store_true", help="list what stands at each point")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in SCENARIOS]:
        parser.error(f"no scenario {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    logging.disable(logging.CRITICAL)
    with running_server() as server:
        wrong = asyncio.run(
            _sweep(
                server,
                given.names or list(SCENARIOS),
                given.ways,
                given.places,
                statements=given.statements,
            )
        )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
