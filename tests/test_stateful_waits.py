"""Waits against a pure model: arm, send, pass deadlines, sweep, cancel, die in between."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from baton import Baton
from baton.words.rows import NewWait
from races.arena import Workflow, noop
from races.waiting import Move, WaitRing, cancel, send, sweep, wait_ring
from support.databases import create_database, drop_database, run_apart
from test_kill_waits import TABLES, TRAP, dies

# Names and need of each wait; the first two are gates, the others stand inside steps.
WAITS = {"w0": ("xy", 1), "w1": ("xy", 2), "w2": ("xyz", 2), "w3": ("xz", 2)}
GATES = ("w0", "w1")


@dataclass
class Group:
    names: str
    need: int
    status: str = "dormant"
    over: bool = False
    received: dict[str, int] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        pending = self.status == "pending" and not self.over
        return pending and name in self.names and name not in self.received

    def take(self, name: str, number: int) -> None:
        self.received[name] = number
        if len(self.received) == self.need:
            self.status = "completed"


@dataclass
class Model:
    """What must be, without a database. Events are numbered as they are sent."""

    groups: dict[str, Group] = field(
        default_factory=lambda: {name: Group(*wait) for name, wait in WAITS.items()}
    )
    order: list[str] = field(default_factory=list)
    kept: dict[int, str] = field(default_factory=dict)
    sent: int = 0
    seen: set[tuple[str, str]] = field(default_factory=set)

    def arm(self, name: str) -> None:
        group = self.groups[name]
        group.status = "pending"
        self.order.append(name)
        for number, event in sorted(self.kept.items()):
            if group.wants(event):
                del self.kept[number]
                group.take(event, number)

    def send(self, name: str, dedupe_id: str | None) -> str:
        if dedupe_id is not None:
            if (name, dedupe_id) in self.seen:
                return "duplicate"
            self.seen.add((name, dedupe_id))
        self.sent += 1
        for group in (self.groups[one] for one in self.in_order()):
            if group.wants(name):
                group.take(name, self.sent)
                return "settled" if group.status == "completed" else "delivered"
        self.kept[self.sent] = name
        return "buffered"

    def in_order(self) -> list[str]:
        """The oldest group first: gates are written with their workflow."""
        return [*GATES, *(name for name in self.order if name not in GATES)]

    def sweep(self) -> int:
        over = [g for g in self.groups.values() if g.status == "pending" and g.over]
        for group in over:
            group.status = "timeout"
        return len(over)

    def cancel(self, name: str) -> bool:
        group = self.groups[name]
        live = ("dormant", "pending") if name in GATES else ("pending",)
        if group.status not in live:
            return False
        group.status = "cancelled"
        return True

    def dump(self) -> dict[str, Any]:
        ended = {"completed", "timeout", "cancelled"}
        groups = {
            name: [
                group.status,
                {
                    event: group.received.get(
                        event, "missed" if group.status in ended else "waiting"
                    )
                    for event in group.names
                },
            ]
            for name, group in self.groups.items()
            if name in GATES or group.status != "dormant"
        }
        return {"groups": groups, "kept": [self.kept[n] for n in sorted(self.kept)]}


_DUMP = """
WITH numbered AS (
    SELECT e.id, e.name, e.state, row_number() OVER (ORDER BY e.id) AS number
    FROM public.workflow_events e WHERE e.workflow_id = $1
)
SELECT json_build_object(
    'groups', (
        SELECT coalesce(json_object_agg(n.name, json_build_array(g.status, (
            SELECT json_object_agg(m.name, coalesce(to_json(e.number), to_json(m.state)))
            FROM public.workflow_wait_members m
            LEFT JOIN numbered e ON e.id = m.event_id
            WHERE m.group_id = g.id
        ))), '{}')
        FROM public.workflow_wait_groups g
        JOIN public.workflow_nodes n ON n.job_id = g.job_id
        WHERE g.workflow_id = $1 AND n.name <> 'end'
    ),
    'kept', (
        SELECT coalesce(json_agg(e.name ORDER BY e.id), '[]') FROM numbered e WHERE e.state = 'kept'
    )
)::text
"""

_OVER = """
UPDATE public.workflow_wait_groups g
SET deadline = now() - interval '1 s', wake_at = now() - interval '1 s'
FROM public.workflow_nodes n
WHERE n.job_id = g.job_id AND g.workflow_id = $1 AND n.name = $2 AND g.status = 'pending'
"""


class Waits(RuleBasedStateMachine):
    dsn: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.ring: WaitRing = self.run(self.stack.enter_async_context(wait_ring(self.dsn)))
        self.model = Model()

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        def make() -> Baton:
            workflow = Baton().wait("end", any_of=["end"])
            for name, (names, need) in WAITS.items():
                workflow.add(f"a{name}" if name in GATES else name, noop.new())
                if name in GATES:
                    workflow.wait(
                        name, at_least=(need, list(names)), timeout=3600, deps=[f"a{name}"]
                    )
            return workflow

        (workflow,) = self.run(self.ring.insert(make, 1))
        self.workflow: Workflow = workflow

    def arming(self, name: str) -> Move:
        if name in GATES:
            return self.ring.complete(self.workflow[f"a{name}"])
        names, need = WAITS[name]
        return self.ring.suspend(
            self.workflow[name], NewWait(tuple(names), need, key="#1", timeout=3600)
        )

    def make(self, move: Move, dies_at: int | None) -> tuple[bool, Any]:
        """Whether the move came to its end, and what it returned."""
        if dies_at is None:
            return True, self.run(move(self.ring.sides[1]))
        found: list[Any] = []

        async def noted(database: Any) -> None:
            found.append(await move(database))

        died = self.run(dies(self.ring, noted, dies_at))
        return not died, found[0] if found else None

    @rule(name=st.sampled_from(sorted(WAITS)), dies_at=st.none() | st.integers(1, 8))
    def arm(self, name: str, dies_at: int | None) -> None:
        if self.model.groups[name].status != "dormant":
            return
        done, _ = self.make(self.arming(name), dies_at)
        if done:
            self.model.arm(name)

    @rule(
        name=st.sampled_from("xyz"),
        dedupe_id=st.none() | st.sampled_from("de"),
        dies_at=st.none() | st.integers(1, 8),
    )
    def send(self, name: str, dedupe_id: str | None, dies_at: int | None) -> None:
        options = {} if dedupe_id is None else {"dedupe_id": dedupe_id}
        done, delivery = self.make(send(self.workflow.id, name, **options), dies_at)
        if done:
            assert delivery == self.model.send(name, dedupe_id)

    @rule(name=st.sampled_from(sorted(WAITS)))
    def pass_deadline(self, name: str) -> None:
        self.run(self.ring.monitor.execute(_OVER, self.workflow.id, name))
        group = self.model.groups[name]
        group.over = group.over or group.status == "pending"

    @rule(dies_at=st.none() | st.integers(1, 8))
    def sweep(self, dies_at: int | None) -> None:
        done, settled = self.make(sweep, dies_at)
        if done:
            assert settled == self.model.sweep()

    @rule(name=st.sampled_from(sorted(WAITS)), dies_at=st.none() | st.integers(1, 8))
    def cancel(self, name: str, dies_at: int | None) -> None:
        done, cancelled = self.make(cancel(self.workflow.id, name), dies_at)
        if done:
            assert cancelled is self.model.cancel(name)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "workflow"):
            return
        dump = json.loads(self.run(self.ring.monitor.fetchval(_DUMP, self.workflow.id)))
        expected = json.loads(json.dumps(self.model.dump()))
        assert dump == expected
        assert self.run(self.ring.violations()) == []

    def teardown(self) -> None:
        self.run(self.ring.monitor.execute("TRUNCATE " + ", ".join(f"public.{t}" for t in TABLES)))
        self.run(self.stack.aclose())
        self.runner.close()


@pytest.mark.timeout(300)
def test_waits_agree_with_the_model(server: str, template: str) -> None:
    Waits.dsn = run_apart(prepared(server, template))
    try:
        run_state_machine_as_test(
            Waits, settings=settings(max_examples=30, stateful_step_count=25, deadline=None)
        )
    finally:
        run_apart(drop_database(server, Waits.dsn))


async def prepared(server: str, template: str) -> str:
    dsn = await create_database(server, template)
    async with wait_ring(dsn) as ring:
        await ring.monitor.execute(TRAP)
    return dsn
