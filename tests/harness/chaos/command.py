"""The long storm, as a command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
from pathlib import Path

from chaos.run import Weather, storm


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.chaos")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--engines", type=int, default=3)
    parser.add_argument("--open", type=int, default=60, help="most unfinished workflows at once")
    parser.add_argument("--seed", type=int, help="of a storm to repeat; else by chance")
    parser.add_argument(
        "--refused", type=float, default=0.0, help="share of jobs of which a write is refused"
    )
    parser.add_argument(
        "--calm", action="store_true", help="refuse writes only: no innocent step may be late"
    )
    parser.add_argument("--keep", type=Path, help="folder for the ledger and the logs")
    given = parser.parse_args()
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="baton-chaos-") as folder:
        kept = given.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        weather = Weather(given.refused, given.calm)
        report = asyncio.run(
            storm(kept, seed, 60 * given.minutes, given.engines, given.open, weather)
        )
    sys.stdout.write(f"{report}\n")
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
