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


def workflow_name_of(text: str) -> str | None:
    """The workflow's name, as a job's meta has it: under `workflow_label`, because to other hosts
    of the table `workflow_name` is the name of the step.
    """
    name = read_meta(text).get("workflow_label")
    return name if isinstance(name, str) else None
