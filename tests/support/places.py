"""Where the project's folders are, and what a process of the tests must find to import them."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
FIXTURES = TESTS / "fixtures"


def python_path() -> str:
    """PYTHONPATH for a process that imports what tests import."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(TESTS), str(TESTS / "harness"), *([given] if given else [])])
