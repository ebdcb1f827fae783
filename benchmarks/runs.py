"""Runs everything: a fresh database and a fresh process per run, the systems taking turns."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quiet import QUIET_SHARE, busy_share, wait_until_quiet
from benchmarks.server import Server
from benchmarks.systems import FLOOR, ROOT, System

RUN_SECONDS = 300
SHOWN_CHARACTERS = 2_000


@dataclass(frozen=True)
class Run:
    workload: str
    system: str
    round: int
    busy_before: float | None
    busy_after: float | None
    result: dict[str, Any] | None
    """What the run printed; None when it failed."""
    error: str = ""

    @property
    def disturbed(self) -> bool:
        return max(self.busy_before or 0.0, self.busy_after or 0.0) >= QUIET_SHARE


def run_all(
    server: Server,
    systems: Sequence[tuple[System, Path]],
    workloads: Sequence[str],
    rounds: int,
    patience: float,
) -> Iterator[Run]:
    """For each workload, round by round, every system that knows it: A B C, A B C, …"""
    for workload in workloads:
        for number in range(1, rounds + 1):
            for system, python in systems:
                if system.runs(workload):
                    dsn = server.fresh_database()
                    arguments = [dsn] if workload == FLOOR else [workload, dsn, *system.options]
                    module = f"benchmarks.{system.module}"
                    before = wait_until_quiet(patience)
                    result, error = _run([str(python), "-m", module, *arguments])
                    after = busy_share()
                    yield Run(workload, system.name, number, before, after, result, error)


def _run(command: list[str]) -> tuple[dict[str, Any] | None, str]:
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=True
        )
        return json.loads(done.stdout.splitlines()[-1]), ""
    except subprocess.TimeoutExpired:
        return None, f"not finished after {RUN_SECONDS} s"
    except subprocess.CalledProcessError as error:
        return None, error.stderr[-SHOWN_CHARACTERS:]
    except (IndexError, json.JSONDecodeError):
        return None, "it printed no result"
