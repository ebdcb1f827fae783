"""Reads the beginning of a file, whatever it is. What cannot be read is a note, never an error."""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from examples.demo.models import Kind

READ_LIMIT = 4 * 1024 * 1024
LOOK_LIMIT = 8_192
MARKDOWN = frozenset({".md", ".markdown", ".mdown"})
LOG_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
LOG_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\b")
MARGIN = 120

# A device or a pipe that took a file's place must not be waited for.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Content(NamedTuple):
    """The beginning of a file, and its whole size in bytes. `note`: why there is no content."""

    data: bytes
    size: int
    note: str = ""


def read_beginning(path: Path, limit: int) -> Content:
    """The first `limit` bytes of a regular file."""
    try:
        descriptor = os.open(path, _FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                return Content(b"", 0, "is no longer a file")
            return Content(file.read(limit), facts.st_size)
    except OSError as error:
        return Content(b"", 0, f"cannot be read: {error.strerror}")


def kind_of(path: Path, beginning: bytes) -> Kind:
    """What kind of file it is, from its name and its first bytes."""
    text = decoded(beginning[:LOOK_LIMIT])
    if "\0" in text:
        return Kind.NOT_READ
    if path.suffix.lower() in MARKDOWN:
        return Kind.MARKDOWN
    lines = [line[:MARGIN] for line in text.splitlines()[:40] if line.strip()]
    logged = sum(bool(LOG_TIME.search(line)) for line in lines)
    # "app.log", "app.log.1": the name alone is enough.
    named = ".log" in path.suffixes
    return Kind.LOG if named or (lines and logged * 2 > len(lines)) else Kind.TEXT


def decoded(data: bytes) -> str:
    """Text of bytes; what is not text becomes U+FFFD."""
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if data.startswith(mark):
            return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")
