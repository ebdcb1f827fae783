"""What workflows of a storm wait for, and which events are sent for it, when."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from two_engines.graphs import Graph
from two_engines.workers import Awaited, Plan

GATES = 0.2
WAITS = 0.25
LATEST = 3.0
CROWD = "crowd"
"""The name of the events that lie in the mailbox of one key, several at once."""
WAITING = (Plan.SUCCEED, Plan.DISCARD, Plan.CANCEL)


@dataclass(frozen=True)
class Sending:
    """An event to send, `after` seconds of its workflow's insertion; 0: at once."""

    event_id: str
    workflow_id: UUID | None
    key: str | None
    name: str
    after: float


def with_waits(chance: random.Random, graph: Graph, shared: str) -> Graph:
    """The same with some of its steps as gates, and others that wait. `shared` is a key that gates
    of several workflows may have: they wait since they were inserted. A step that comes later than
    the event finds it only when nobody else had the key. Gates and steps of several workflows also
    crowd round one key, with an event for each of them.
    """
    crowd = f"{shared} {CROWD}"
    own = f"{shared} {chance.getrandbits(64):x}"
    gates: dict[str, Awaited] = {}
    waits: dict[str, tuple[Awaited, ...]] = {}
    for step, plan in graph.plans.items():
        drawn = chance.random()
        if drawn < GATES:
            gates[step] = _awaited(chance, step, gate=True, key=shared, crowd=crowd)
        elif drawn < GATES + WAITS and plan in WAITING:
            waits[step] = tuple(
                _awaited(
                    chance,
                    f"{step}.{number}",
                    gate=False,
                    key=f"{own} {step}.{number}",
                    crowd=crowd,
                )
                for number in range(chance.randint(1, 2))
            )
    return replace(graph, gates=gates, waits=waits)


def _awaited(chance: random.Random, prefix: str, *, gate: bool, key: str, crowd: str) -> Awaited:
    names = tuple(f"{prefix}.{number}" for number in range(chance.randint(1, 3)))
    need = chance.choice((1, len(names), chance.randint(1, len(names))))
    match chance.choice(("sent", "sent", "sent", "raced", "never", "key", "crowd", "crowd")):
        case "raced":
            ends = ("completed", "timeout")
            return Awaited(names, need, timeout=chance.uniform(0.2, LATEST), ends=ends)
        case "never":
            failing = gate and chance.random() < 0.5
            ending = chance.choice(("cancel", "discard")) if failing else "result"
            return Awaited(names, need, chance.uniform(0.1, 1.5), ending, ends=("timeout",))
        case "key":
            # One event for all that wait with the key.
            return Awaited(("all",), key=key)
        case "crowd":
            # As many events as waits: each ends, whoever takes which, and whenever they come.
            return Awaited((CROWD,), key=crowd)
        case _:
            return Awaited(names, need)


def sendings(chance: random.Random, graphs: Mapping[UUID, Graph]) -> list[Sending]:
    """What has to be sent, so that these workflows end as they may: what is awaited without a
    deadline all of it; what has one early or late; and less than needed for what may only time out.
    """
    made: dict[str, Sending] = {}
    for workflow_id, graph in graphs.items():
        everything = [graph.gates.values(), *graph.waits.values()]
        for awaited in (one for some in everything for one in some):
            names = awaited.names
            if awaited.ends == ("timeout",):
                names = tuple(chance.sample(names, awaited.need - 1))
            for name in names:
                own = None if awaited.key else workflow_id
                event_id = f"{own or awaited.key} {name}"
                if name == CROWD:
                    event_id = f"{event_id} {len(made)}"
                after = chance.choice((0.0, chance.uniform(0.0, LATEST)))
                made[event_id] = Sending(event_id, own, awaited.key, name, after)
    return list(made.values())
