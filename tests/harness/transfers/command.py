"""The long storm, as a command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
from pathlib import Path

from transfers.run import storm


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.transfers")
    parser.add_argument("--transfers", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--engines", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--naive", action="store_true", help="commit the rows apart")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(
            storm(
                Path(folder),
                given.seed,
                given.transfers,
                given.accounts,
                given.engines,
                naive=given.naive,
            )
        )
    sys.stdout.write(f"{report}\n")
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
