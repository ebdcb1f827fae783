"""The command; see the package."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any
from xml.etree import ElementTree

from environments.places import ENVIRONMENTS, Place
from environments.suite import APPLIES, FACTS, FILES
from environments.tools import NotAvailableError, Tools
from support.places import ROOT
from support.servers import DSN_VARIABLE

NOT_AVAILABLE = "not available here"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(place: Place, only: str) -> dict[str, Any]:
    """Run the suite, or `only` what this expression names, in one place: what passed and failed."""
    with tempfile.TemporaryDirectory(prefix="baton-") as folder:
        report = Path(folder) / "report.xml"
        command = [str(place.python), "-m", "pytest", "--tb=short", f"--junitxml={report}"]
        command += [word for plugin in place.plugins for word in ("-p", plugin)]
        if chosen := [*filter(None, [only]), *(f"not {name}" for name in place.left_out)]:
            command += ["-k", f"{APPLIES} or ({' and '.join(chosen)})"]
        command += [f"tests/{name}" for name in FILES]
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(
                    str(ROOT / part) for part in ("src", "tests", "tests/harness", ".")
                ),
                DSN_VARIABLE: place.dsn,
                FACTS: json.dumps(place.facts),
                **place.variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if not report.exists():
            return {"outcome": "broken", "said": ended.stdout[-2000:]}
        return {**_figures(report, ended.returncode), "said": ended.stdout}


def _figures(report: Path, code: int) -> dict[str, Any]:
    failed: list[str] = []
    passed = skipped = 0
    applies = False
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed.append(f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}")
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
            applies |= case.get("name") == APPLIES
    green = code == 0 and applies and passed > 1 and not failed
    return {
        "outcome": "passed" if green else "failed",
        "passed": passed,
        "failed": len(failed),
        "skipped": skipped,
        "failures": failed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.environments")
    parser.add_argument("names", nargs="*", metavar="environment", help="parts of their names")
    parser.add_argument("--tools", type=Path, default=ROOT / ".environments")
    parser.add_argument("--fetch", action="store_true", help="get what can be downloaded")
    parser.add_argument("--list", action="store_true", help="name the environments")
    parser.add_argument("-k", dest="only", default="", help="an expression that chooses tests")
    parser.add_argument("--verbose", action="store_true", help="what pytest says of failures")
    given = parser.parse_args()
    names = [
        name
        for part in given.names or [""]
        for name in ENVIRONMENTS
        if part.lower() in name.lower()
    ]
    if not names:
        parser.error(f"no environment is named {' or '.join(given.names)}")
    if given.list:
        _say("\n".join(names))
        return
    tools = Tools(given.tools.resolve())
    if given.fetch:
        tools.fetch()
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        began = monotonic()
        try:
            with ENVIRONMENTS[name](tools) as place:
                figures = run(place, f"({given.only})" if given.only else "")
        except NotAvailableError as missing:
            found[name] = {"outcome": NOT_AVAILABLE, "missing": str(missing)}
            _say(f"{name}: {NOT_AVAILABLE} ({missing})")
            continue
        said = figures.pop("said")
        figures["seconds"] = round(monotonic() - began, 1)
        found[name] = figures
        _say(f"{name}: {', '.join(f'{figures.get(x, 0)} {x}' for x in ('passed', 'failed'))}")
        if figures["outcome"] != "passed":
            _say("\n".join(figures.get("failures", [])))
            if given.verbose or figures["outcome"] == "broken":
                _say(said)
    outcomes = [figures["outcome"] for figures in found.values()]
    _say(json.dumps({"environments": found, "outcomes": {o: outcomes.count(o) for o in outcomes}}))
    sys.exit(1 if set(outcomes) - {"passed", NOT_AVAILABLE} else 0)


if __name__ == "__main__":
    main()
