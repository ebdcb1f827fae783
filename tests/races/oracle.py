"""What the gate says of a step, computed in Python from what its dependencies settled as.

Written from docs/states-and-gate.md. It looks at no counter and asks no function of the library, so
that it can tell when these are wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

RUN, HOLD, CANCEL, SKIP = "run", "hold", "cancel", "skip"

_ABOVE = """
SELECT
    d.name, d.state::text, coalesce(d.job_id = ANY (n.any_of), false) AS alternative,
    d.result::text, n.ignore_cancelled, n.ignore_discarded, n.run_when_skipped, n.condition::text
FROM baton.workflow_nodes n
JOIN baton.workflow_nodes d ON d.job_id = ANY (n.deps)
WHERE n.job_id = $1
"""


class Above(NamedTuple):
    """A dependency: how it settled (None: it has not), and its value, which is a number or none."""

    name: str
    state: str | None
    alternative: bool = False
    value: object = None


class Rules(NamedTuple):
    """What the step says of its dependencies. `ignored` are the states of failures."""

    ignored: frozenset[str] = frozenset()
    run_when_skipped: bool = False
    condition: Mapping[str, Any] = {}


async def gate(monitor: asyncpg.Connection[Any], job_id: int) -> str:
    """What the gate has to say of a step now."""
    rows = await monitor.fetch(_ABOVE, job_id)
    if not rows:
        return RUN
    first = rows[0]
    ignored = {s for s in ("cancelled", "discarded") if first[f"ignore_{s}"]}
    condition = json.loads(first["condition"] or "{}")
    rules = Rules(frozenset(ignored), first["run_when_skipped"], condition)
    return says(rules, [_above(row) for row in rows])


def says(rules: Rules, above: Sequence[Above]) -> str:
    """One cancel outweighs every hold, one hold every run, one run every skip; the condition is
    asked last.
    """
    found = [_alone(rules, one.state) for one in above if not one.alternative]
    alternatives = [_alone(rules, one.state) for one in above if one.alternative]
    if alternatives:
        found.append(next(v for v in (RUN, HOLD, SKIP, CANCEL) if v in alternatives))
    verdict = next((v for v in (CANCEL, HOLD, RUN, SKIP) if v in found), RUN)
    if verdict == SKIP and rules.run_when_skipped:
        verdict = RUN
    return SKIP if verdict == RUN and not _met(rules.condition, above) else verdict


def _alone(rules: Rules, state: str | None) -> str:
    """What one dependency says."""
    if state is None:
        return HOLD
    if state == "skipped":
        return SKIP
    return RUN if state == "completed" or state in rules.ignored else CANCEL


def _met(condition: Mapping[str, Any], above: Sequence[Above]) -> bool:
    values = {one.name: one.value for one in above}
    failed = any(one.state in ("cancelled", "discarded") for one in above)
    when, unless = condition.get("when", {}), condition.get("unless", {})
    return (
        (failed or "on_failure" not in condition)
        and all(values[name] == value for name, value in when.items())
        and not (unless and all(values[name] == value for name, value in unless.items()))
    )


def _above(row: asyncpg.Record) -> Above:
    value = None if row["result"] is None else json.loads(row["result"])["value"]
    return Above(row["name"], row["state"], row["alternative"], value)
