"""Run a worker in a child process that is started anew when a Python file below this folder
changes.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from baton.cli.reporting import MISUSED, fail, say

_run_process: Callable[..., int] | None = None
_filter: Any = None
with suppress(ModuleNotFoundError):
    from watchfiles import PythonFilter, run_process

    _run_process, _filter = run_process, PythonFilter()

STOP_SECONDS = 30
"""How long a worker may take to stop, in seconds, before it is killed."""


def run_reloading(arguments: Sequence[str]) -> None:
    """Run `baton` with these arguments, again after each change, until a signal."""
    if _run_process is None:
        fail("--reload needs the extra 'reload': pip install 'baton-workflows[reload]'", MISUSED)
    _run_process(
        Path.cwd(),
        target=shlex.join([sys.executable, "-m", "baton.cli", *arguments]),
        target_type="command",
        watch_filter=_filter,
        callback=_print_changes,
        sigint_timeout=STOP_SECONDS,
    )


def _print_changes(changes: set[tuple[Any, str]]) -> None:
    names = sorted(Path(path).name for _, path in changes)
    say(f"{', '.join(names[:3])} changed: the worker starts anew")
