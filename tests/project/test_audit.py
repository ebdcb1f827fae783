"""The audit is green only when everything was looked up and nothing found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit.judge import judge

FINE = {"name": "anyio", "version": "4.9", "vulns": []}
BAD = {
    "name": "urllib3",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": ""}],
}
LOST = {"name": "pydantic", "skip_reason": "Dependency not found on PyPI and could not be audited"}
OWN = {"name": "baton-workflows", "skip_reason": "distribution marked as editable"}


@pytest.mark.parametrize(
    ("packages", "status", "told"),
    [
        ([FINE, OWN], 0, "1 packages, none"),
        ([FINE, BAD], 1, "urllib3 1.0: PYSEC-1, fixed in 1.1"),
        ([LOST, BAD], 1, "not available for 1 of 2"),
        ([FINE, LOST], 2, "not available for 1 of 2 packages (pydantic)"),
        ([LOST] * 9, 2, "not available for 9 of 9"),
        ([OWN], 2, "nothing was looked up"),
        ([], 2, "nothing was looked up"),
    ],
)
def test_what_was_not_looked_up_is_no_pass(packages: Any, status: int, told: str) -> None:
    found, text = judge(json.dumps({"dependencies": packages, "fixes": []}))
    assert (found, told in text) == (status, True), text


@pytest.mark.parametrize("report", ["", "{}", "[]", "no connection", "null"])
def test_no_report_is_no_pass(report: str) -> None:
    found, text = judge(report, "Traceback\nConnectionError: no route to host\n")
    assert (found, text) == (2, "audit: not available: ConnectionError: no route to host")
