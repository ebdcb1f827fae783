"""Lists the files of a folder, and shares them out to the steps that read them."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.demo.models import ListedFile

MOST_FILES = 4_000
MOST_PATH_BYTES = 400_000
MOST_STEPS = 300
LEFT_OUT = frozenset({"__pycache__", "node_modules"})
OWN_PARTS = ("README.md", "docs", "examples", "src", "tests")


class InputError(Exception):
    """The input cannot be used; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one input. `complete` is False when there are more than the demo takes."""

    root: Path
    files: tuple[ListedFile, ...]
    complete: bool
    fingerprint: str


def list_files(given: Path | None) -> Listing:
    """The regular files below a folder (None: this repository), but no hidden files and no links.

    Raises InputError when there is no such folder or nothing in it.
    """
    root = (given or Path(__file__).parents[2]).absolute()
    try:
        if not root.is_dir():
            raise InputError(
                f"{given} is not a folder" if root.exists() else f"there is no folder {given}"
            )
        return _listing(root, [root / part for part in OWN_PARTS] if given is None else [root])
    except OSError as error:
        raise InputError(f"{given or root} cannot be read: {error.strerror}") from error
    except UnicodeEncodeError:
        raise InputError(f"the path {str(root)!a} is not text") from None


def share_out(files: Sequence[ListedFile]) -> dict[str, list[ListedFile]]:
    """The files of each step, by its name: one each, or neighbours together when they are many."""
    per_step = -(-len(files) // MOST_STEPS)
    shares = [list(files[i : i + per_step]) for i in range(0, len(files), per_step)]
    return {_step_name(number, share): share for number, share in enumerate(shares, 1)}


def _listing(root: Path, parts: Sequence[Path]) -> Listing:
    files: list[ListedFile] = []
    digest = hashlib.sha256(str(root).encode())
    room = MOST_PATH_BYTES
    complete = True
    for path, facts in (file for part in parts for file in _walk(root, part)):
        room -= len(path.encode())
        if room < 0 or len(files) == MOST_FILES:
            complete = False
            break
        files.append(ListedFile(path=path, size=facts.st_size))
        digest.update(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    if not files:
        raise InputError(f"there are no files in {root}")
    return Listing(root, tuple(files), complete, digest.hexdigest())


def _walk(root: Path, top: Path) -> Iterator[tuple[str, os.stat_result]]:
    if top.is_file():
        yield top.relative_to(root).as_posix(), top.stat()
        return
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in LEFT_OUT)
        for name in sorted(names):
            file = Path(folder, name)
            try:
                facts = file.lstat()
                path = file.relative_to(root).as_posix()
                path.encode()
            except (OSError, UnicodeEncodeError):
                # Gone again, or a name that is not text.
                continue
            if stat.S_ISREG(facts.st_mode) and name[0] != ".":
                yield path, facts


def _step_name(number: int, share: Sequence[ListedFile]) -> str:
    more = f" and {len(share) - 1} more" if len(share) > 1 else ""
    path = unicodedata.normalize("NFC", share[0].path)
    shown = "".join(c if c.isprintable() else "?" for c in path)[-200:]
    return f"{number:03} {shown}{more}".strip()
