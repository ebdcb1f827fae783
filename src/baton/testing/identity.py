"""Which user the server runs as.

PostgreSQL refuses to run as root. Started by root it therefore runs as "nobody", who often may not
enter the folders that matter (a virtual environment or data below /root). On Linux it keeps the one
capability that file access needs, so that no folder's permissions have to be loosened.
"""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to run programs as; None: the one we are."""

    user: pwd.struct_passwd | None

    def __str__(self) -> str:
        return "the current user" if self.user is None else repr(self.user.pw_name)

    def own(self, folder: Path) -> None:
        """Give a folder to this user, and let nobody else in."""
        folder.chmod(0o700)
        if self.user is not None:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def run(self, *command: str | Path, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, `timeout` in seconds; what it says is in `stdout`."""
        return subprocess.run(  # noqa: S603
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            cwd="/",
            env={**_without_settings_of_postgres(), "LC_ALL": "C"},
            preexec_fn=None if self.user is None else _becoming(self.user),
        )


def server_identity() -> Identity:
    """Ourselves, or "nobody" when we are root."""
    return Identity(pwd.getpwnam("nobody") if os.geteuid() == 0 else None)


def _without_settings_of_postgres() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _becoming(user: pwd.struct_passwd) -> Callable[[], None]:
    # Of the systems with such capabilities only Linux is known here.
    capabilities = _capabilities() if platform.system() == "Linux" else None

    def become() -> None:
        kept = capabilities is not None and capabilities[0]()
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        if capabilities is not None and kept:
            capabilities[1]()

    return become


def _capabilities() -> tuple[Callable[[], bool], Callable[[], None]]:
    """What to call before and after the change of user."""
    libc = ctypes.CDLL(None)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    bit = 1 << _CAP_DAC_OVERRIDE
    # Effective, permitted and inheritable: of the capabilities 0 to 31, then of 32 to 63.
    only_files = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)

    def keep_all() -> bool:
        # Without this bit access(2), which initdb asks, ignores the capabilities of other users
        # than root. With it, a change of user keeps them all.
        return not libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)

    def keep_files_only() -> None:
        if libc.capset(header, only_files):
            raise PermissionError("the capabilities of root cannot be dropped")
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)

    return keep_all, keep_files_only
