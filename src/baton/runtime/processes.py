"""Which process an engine is, so that another on the same machine can see that it is gone.

A process is known by where it runs (this boot of the machine, and the namespaces that its numbers
are counted in) and, there, by its number and its start. A host's name says nothing: containers
share it, and a number without its start may be that of a later process. Linux only: elsewhere
nothing is recorded, and an engine is known to be dead by its silence alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Process(NamedTuple):
    """`place` is where `number` and `start` mean this process and no other."""

    place: str
    number: int
    start: int


def own_process() -> Process | None:
    """This process; None where the system does not tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        # The start of a process is counted in its own time namespace.
        spaces = [(_PROC / "self/ns" / name).stat().st_ino for name in ("pid", "time")]
        state = _read(os.getpid())
    except (OSError, ValueError):
        return None
    if state is None or not boot:
        return None
    return Process(":".join([boot, *map(str, spaces)]), os.getpid(), state.start)


def is_gone(process: Process, here: Process) -> bool:
    """Whether a process has surely ended, seen from the process `here`. False when that cannot be
    known.
    """
    if process.place != here.place:
        return False
    try:
        os.kill(process.number, 0)
    except ProcessLookupError:
        return True
    except OSError:
        # It exists and is somebody else's.
        pass
    try:
        found = _read(process.number)
    except (OSError, ValueError):
        return False
    if found is None:
        return False
    return found.start != process.start or found.dead


class _Stat(NamedTuple):
    start: int
    dead: bool


def _read(number: int) -> _Stat | None:
    # The name of the program, in parentheses, may hold anything.
    fields = (_PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    # A zombie with no other thread has only its parent to wait for.
    return _Stat(int(fields[19]), fields[0] in "ZX" and int(fields[17]) <= 1)
