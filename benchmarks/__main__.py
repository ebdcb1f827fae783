"""Run everything, write one JSON document, print the tables. From the repository root."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.environments import NotRunnableError, interpreter, python_of, versions_of
from benchmarks.runs import Run, run_all
from benchmarks.server import running_server
from benchmarks.systems import FLOOR, ROOT, SYSTEMS, System
from benchmarks.workloads import workload

FULL = (FLOOR, "D1000", "D5000", "C200", "F2000", "F20000", "J20000", "W20000")
QUICK = (FLOOR, "D200", "C50", "F200", "J2000", "W2000")
ROUNDS = 3
PATIENCE_SECONDS = 20.0
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    arguments = _arguments()
    workloads: list[str] = arguments.only or list(QUICK if arguments.quick else FULL)
    rounds: int = arguments.runs or (1 if arguments.quick else ROUNDS)
    try:
        python = interpreter()[1]
    except NotRunnableError as error:
        sys.exit(str(error))
    systems, not_run = _prepare(arguments.systems, workloads)
    began = datetime.now(UTC)
    runs: list[Run] = []
    with running_server() as server:
        settings = server.settings()
        for run in run_all(server, systems, workloads, rounds, arguments.patience):
            runs.append(run)
            outcome = "failed" if run.result is None else "done"
            note = ", others were busy" if run.disturbed else ""
            what = f"{run.workload} round {run.round}: {run.system}: {outcome}{note}"
            print(what, file=sys.stderr)
    about = {
        "started_at": began.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {"cpus": os.cpu_count(), "system": platform.system()},
        "python": ".".join(map(str, python)),
        "server": settings,
        "packages": {system.packages.name: versions_of(python) for system, python in systems},
    }
    out: Path = arguments.out or RESULTS / f"{began:%Y%m%dT%H%M%SZ}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report.document(runs, workloads, about, not_run), indent=1) + "\n")
    print(report.text(runs, workloads, not_run))
    return 1 if any(run.result is None for run in runs) else 0


def _prepare(
    chosen: Sequence[str], workloads: Sequence[str]
) -> tuple[list[tuple[System, Path]], dict[str, str]]:
    ready: list[tuple[System, Path]] = []
    not_run: dict[str, str] = {}
    for system in SYSTEMS:
        if system.name not in chosen or not any(map(system.runs, workloads)):
            continue
        try:
            ready.append((system, python_of(system.packages)))
        except NotRunnableError as reason:
            not_run[system.name] = str(reason)
    return ready, not_run


def _commit() -> str | None:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [system.name for system in SYSTEMS]
    parser.add_argument("--only", type=_workloads, help=f"workloads, such as D1000,C200,{FLOOR}")
    parser.add_argument("--systems", type=_systems, default=names, help="; ".join(names))
    parser.add_argument("--runs", type=int, help=f"rounds of each (default {ROUNDS}, quick 1)")
    parser.add_argument("--quick", action="store_true", help="small workloads, one round")
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE_SECONDS,
        help=f"seconds a run waits for others to be quiet (default {PATIENCE_SECONDS:g})",
    )
    parser.add_argument("--out", type=Path, help="the JSON file (default: in benchmarks/results)")
    return parser.parse_args()


def _workloads(given: str) -> list[str]:
    names = given.split(",")
    for name in names:
        try:
            if name != FLOOR:
                workload(name)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return names


def _systems(given: str) -> list[str]:
    names = given.split(",")
    unknown = set(names) - {system.name for system in SYSTEMS}
    if unknown:
        raise argparse.ArgumentTypeError(f"no such system: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
