"""The long run, as a command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys

from baton import schema
from baton.testing import embedded_postgres
from soak.run import Report, soak
from support.databases import create_database

# As an installation has it, but for the disk; the autovacuum looks more often, since everything
# here lives for seconds.
SETTINGS = {"fsync": "off", "autovacuum_naptime": "10s", "max_connections": "100"}
RATE = 40.0


async def _soak(server: str, given: argparse.Namespace) -> Report:
    dsn = await create_database(server)
    await schema.migrate(dsn)
    return await soak(
        dsn,
        seconds=60 * given.minutes,
        rate=given.rate,
        engines=given.engines,
        every=given.every,
        seed=given.seed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=RATE, help="workflows a second")
    parser.add_argument("--engines", type=int, default=1)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two samples")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if named := os.environ.get("BATON_TEST_DSN"):
        report = asyncio.run(_soak(named, given))
    else:
        with embedded_postgres(settings=SETTINGS) as server:
            report = asyncio.run(_soak(server, given))
    sys.stdout.write(f"{report}\n")
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
