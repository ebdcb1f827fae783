"""Reads the meta of jobs: other hosts and people may have written anything into it."""

from __future__ import annotations

from typing import Any

from baton.core.jsonvalue import decode


def read_meta(text: str) -> dict[str, Any]:
    """The meta of a job; empty when it is no object or cannot be read."""
    try:
        meta = decode(text)
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) else {}


def workflow_label(text: str) -> str | None:
    """The workflow's name, as a job's meta has it."""
    label = read_meta(text).get("workflow_label")
    return label if isinstance(label, str) else None
