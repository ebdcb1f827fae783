"""What takes part: the systems, the variants of Baton, and what each needs installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOOR = "floor"
BATON = "baton"
VARIANTS = (
    "baton-2-processes",
    "baton-no-telemetry",
    "baton-subscriber",
    "baton-otel-spans",
    "baton-otel",
)
PEERS = ("pgqueuer", "oban", "absurd")
ANY_PYTHON = (3, 11)

Version = tuple[int, int]


@dataclass(frozen=True)
class Packages:
    """What one virtual environment holds, by package name and exact version."""

    name: str
    requirements: tuple[str, ...]
    python: Version = ANY_PYTHON
    editable: bool = False
    """Also this repository."""


@dataclass(frozen=True)
class System:
    name: str
    module: str
    packages: Packages
    kinds: str
    """The first letters of the workloads it runs."""
    options: tuple[str, ...] = ()

    def runs(self, workload: str) -> bool:
        return workload == FLOOR if self.name == FLOOR else workload[0] in self.kinds


UVLOOP = "uvloop==0.23.0"
OURS = Packages(BATON, (UVLOOP,), editable=True)
TRACED = Packages("baton-otel", (UVLOOP, "opentelemetry-sdk==1.45.2"), editable=True)

SYSTEMS = (
    System(FLOOR, "floor", OURS, ""),
    System(BATON, "baton_system", OURS, "DCFJW"),
    System("baton-2-processes", "baton_system", OURS, "D", ("--processes=2",)),
    System("baton-no-telemetry", "baton_system", OURS, "D", ("--telemetry=off",)),
    System("baton-subscriber", "baton_system", OURS, "D", ("--telemetry=subscribed",)),
    System("baton-otel-spans", "baton_system", TRACED, "D", ("--telemetry=spans",)),
    System("baton-otel", "baton_system", TRACED, "D", ("--telemetry=all",)),
    System(
        "pgqueuer",
        "pgqueuer_system",
        Packages("pgqueuer", ("pgqueuer==1.6.0", "asyncpg==0.32.0", UVLOOP)),
        "DCFJ",
    ),
    System(
        "oban",
        "oban_system",
        Packages("oban", ("oban==0.7.0", "psycopg[binary,pool]==3.3.9", UVLOOP), (3, 12)),
        "DCFJ",
    ),
    System(
        "absurd",
        "absurd_system",
        Packages(
            "absurd",
            ("absurd-sdk==0.5.1", "absurdctl==0.5.1", "psycopg[binary]==3.3.9", UVLOOP),
        ),
        "DCFJ",
    ),
)
