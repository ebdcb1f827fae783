"""A claimed job without a database behind it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from baton.words.rows import ClaimedJob, Node


class Untouchable:
    """A database that fails whoever asks it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the database was asked for {name}")


def claimed(node: Node | None) -> ClaimedJob:
    return ClaimedJob(7, datetime(2026, 1, 1), "q", "w", "{}", "{}", 1, 1, node)  # noqa: DTZ001
