"""The gate's question, put to what the store has read."""

from __future__ import annotations

from collections.abc import Sequence

from baton.core.gate import Decision, Dependency, DependencyRules, decide
from baton.store.results import DependencyRow


def decision(rows: Sequence[DependencyRow]) -> Decision:
    """Whether the step whose dependencies these are may run."""
    return decide(
        [Dependency(row.name, row.settled, row.job_state) for row in rows],
        rows[0].rules if rows else DependencyRules(),
    )
