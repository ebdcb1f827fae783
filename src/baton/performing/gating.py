"""The gate's question, put to what the store has read."""

from __future__ import annotations

from collections.abc import Sequence

from baton.core.gate import Decision, DependencyRules, decide
from baton.store.results import DependencyRow


def decision(rows: Sequence[DependencyRow]) -> Decision:
    """Whether the step whose dependencies these are may run."""
    if not rows:
        return decide((), DependencyRules())
    first = rows[0]
    found = [row.dependency for row in rows]
    return decide(found, first.rules, first.unmet, undecided=first.undecided)
