"""The checker can fail: whatever breaks an invariant, in tables or ledger, is reported."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from baton import Engine, insert_all, send_event
from chaos.verbs import verb_faults
from support.invariants import violations
from support.running import fast
from two_engines import truth
from two_engines.checker import faults
from two_engines.fault import Kind
from two_engines.graphs import Expected, Graph
from two_engines.run import finished
from two_engines.truth import FileLedger
from two_engines.workers import Awaited, Plan, Planned

NAMES = ("plain", "gate", "over", "below", "waits")
GRAPH = Graph(
    {"plain": (), "gate": ("plain",), "over": (), "below": ("gate", "over"), "waits": ()},
    dict.fromkeys(NAMES, Plan.SUCCEED),
    gates={
        "gate": Awaited(("x", "y"), need=2),
        "over": Awaited(("never",), timeout=0.05, ends=("timeout",)),
    },
    waits={"waits": (Awaited(("p", "q")), Awaited(("k",), key="key"))},
)


@dataclass(frozen=True)
class Round:
    """A workflow that has ended as it had to."""

    tables: asyncpg.Connection[Any]
    expected: Expected

    async def kinds(self) -> set[Kind]:
        """What the checker finds."""
        return {fault.kind for fault in await self.found(calm=False)}

    async def found(self, *, calm: bool) -> Sequence[Any]:
        return await faults(self.tables, [self.expected], None, calm=calm)


async def _send(
    engine: Engine, ledger: FileLedger, expected: Expected, name: str, key: str | None = None
) -> None:
    workflow_id = None if key else expected.workflow_id
    answer = await send_event(
        workflow_id, name, {"id": name}, correlation_key=key, dedupe_id=name, engine=engine
    )
    ledger.sent(name, workflow_id, key, name, answer)


@pytest.fixture
async def ended(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Round]:
    await truth.create(dsn)
    ledger = FileLedger(tmp_path)
    monkeypatch.setattr(Planned, "ledger", ledger, raising=False)
    tables = await asyncpg.connect(dsn)
    workflow = GRAPH.workflow()
    expected = Expected(workflow.workflow_id, GRAPH)
    async with fast(dsn) as engine:
        await insert_all([workflow], engine=engine)
        for name in "xyp":
            await _send(engine, ledger, expected, name)
        await _send(engine, ledger, expected, "k", "key")
        await finished(tables, [workflow.workflow_id], 20)
    ledger.told(workflow.workflow_id)
    await ledger.load(dsn)
    yield Round(tables, expected)
    await tables.close()


async def test_what_is_right_is_found_right(ended: Round) -> None:
    assert await ended.found(calm=True) == []


GROUP = "(SELECT g.id FROM baton.workflow_wait_groups g WHERE g.names = ARRAY['p', 'q'])"
EVENT = "(SELECT e.id FROM baton.workflow_events e WHERE e.name = 'p')"
JOB = "(SELECT n.job_id FROM baton.workflow_nodes n WHERE n.name = '{}')"
AGAIN = json.dumps({"outcome": "timeout", "events": {}})

MUTANTS = {
    # Of waits: I8.
    "a second resume with another end": (
        Kind.TWICE,
        (
            f"INSERT INTO public.resumed SELECT job_id, key, token, '{AGAIN}' FROM public.resumed"
            " WHERE key = '#1' LIMIT 1"
        ),
    ),
    "a resume with another event": (
        Kind.TWICE,
        (
            """UPDATE public.resumed SET outcome = '{"outcome": "events", "events": {"q": "q"}}'"""
            " WHERE key = '#1'"
        ),
    ),
    "a second resume with the same end": (
        Kind.TWICE,
        (
            "INSERT INTO public.ledger (mark, job_id, attempt, token, pid)"
            f" VALUES ('start', {JOB.format('waits')}, 1, gen_random_uuid(), 1)"
        ),
    ),
    "no resume": (Kind.NEVER, "DELETE FROM public.resumed WHERE key = '#2'"),
    "a wait that was never armed": (
        Kind.NEVER,
        "DELETE FROM baton.workflow_wait_groups WHERE replay_key = '#2'",
    ),
    "a wait that is still pending": (
        Kind.NEVER,
        f"UPDATE baton.workflow_wait_groups SET status = 'pending' WHERE id = {GROUP}",
    ),
    "a wait that timed out though it has no deadline": (
        Kind.EVENTS,
        f"UPDATE baton.workflow_wait_groups SET status = 'timeout' WHERE id = {GROUP}",
    ),
    "a timeout before the deadline": (
        Kind.EVENTS,
        (
            "UPDATE baton.workflow_wait_groups SET deadline = settled_at + interval '1 s'"
            " WHERE status = 'timeout'"
        ),
    ),
    "an end that was not to be": (
        Kind.WRONG,
        "UPDATE baton.workflow_wait_groups SET status = 'completed' WHERE status = 'timeout'",
    ),
    "a gate with another result": (
        Kind.TWICE,
        (
            "UPDATE baton.workflow_nodes"
            """ SET result = jsonb_set(result, '{value,events,x,id}', '"z"')"""
            " WHERE name = 'gate'"
        ),
    ),
    "a dependent that read another result of a gate": (
        Kind.SECOND,
        (
            "UPDATE baton.workflow_nodes"
            " SET result = jsonb_set(result, '{value,gates,over,outcome}', '\"events\"')"
            " WHERE name = 'below'"
        ),
    ),
    "an event that was accepted and is gone": (
        Kind.EVENTS,
        (
            "INSERT INTO public.sent SELECT 'z', workflow_id, key, 'z', 'buffered' FROM public.sent"
            " WHERE name = 'x'"
        ),
    ),
    "an event that nobody sent": (Kind.WRONG, "DELETE FROM public.sent WHERE name = 'p'"),
    "an event that is there twice": (
        Kind.EVENTS,
        (
            "INSERT INTO baton.workflow_events (workflow_id, name, payload)"
            " SELECT workflow_id, name, payload FROM baton.workflow_events WHERE name = 'x'"
        ),
    ),
    "an event that two waits took": (
        Kind.EVENTS,
        f"UPDATE baton.workflow_wait_members SET event_id = {EVENT} WHERE name = 'x'",
    ),
    "an event in time that a timeout overlooked": (
        Kind.EVENTS,
        (
            "INSERT INTO baton.workflow_events (workflow_id, name, payload, sent_at)"
            """ SELECT workflow_id, 'never', '{"id": "never"}', armed_at"""
            " FROM baton.workflow_wait_groups WHERE status = 'timeout'"
        ),
    ),
    "an event that is still handed out": (
        Kind.EVENTS,
        "UPDATE baton.workflow_events SET state = 'open' WHERE correlation_key IS NOT NULL",
    ),
    # Of steps and announcements: I1 to I5.
    "a step that is gone": (
        Kind.LOST,
        "DELETE FROM baton.workflow_nodes WHERE name = 'plain'",
    ),
    "a step that was not performed": (
        Kind.LOST,
        f"DELETE FROM public.ledger WHERE job_id = {JOB.format('plain')} AND mark = 'start'",
    ),
    "a step that was performed again for no reason": (
        Kind.SECOND,
        (
            "INSERT INTO public.ledger (mark, job_id, attempt, token, pid)"
            f" VALUES ('start', {JOB.format('plain')}, 1, gen_random_uuid(), 1)"
        ),
    ),
    "a result of nobody": (
        Kind.SECOND,
        (
            "UPDATE baton.workflow_nodes"
            f""" SET result = jsonb_set(result, '{{value,token}}', '"{uuid4()}"')"""
            " WHERE name = 'plain'"
        ),
    ),
    "a step that has not settled": (
        Kind.UNSETTLED,
        "UPDATE baton.workflow_nodes SET state = NULL, result = NULL WHERE name = 'below'",
    ),
    "a step that settled otherwise": (
        Kind.WRONG,
        "UPDATE baton.workflow_nodes SET state = 'discarded', result = NULL WHERE name = 'below'",
    ),
    "a step that was not given what it depends on": (
        Kind.WRONG,
        (
            "UPDATE baton.workflow_nodes"
            " SET result = jsonb_set(result, '{value,read}', '{\"over\": null}')"
            " WHERE name = 'below'"
        ),
    ),
    "a step that started too early": (
        Kind.EARLY,
        (
            f"UPDATE baton.workflow_nodes SET deps = ARRAY[{JOB.format('waits')}],"
            " result = jsonb_set(result, '{value,read}', '{}') WHERE name = 'plain'"
        ),
    ),
    "a workflow that was announced twice": (
        Kind.DUPLICATE,
        "INSERT INTO public.told SELECT * FROM public.told",
    ),
    "a workflow that was not announced": (
        Kind.MISSING,
        "DELETE FROM baton.workflow_completions",
    ),
}


async def test_what_is_wrong_is_found(ended: Round) -> None:
    assert await ended.kinds() == set()
    # What must not be may not even be written.
    await ended.tables.execute("SET session_replication_role = replica")
    overlooked = {}
    for mutant, (kind, change) in MUTANTS.items():
        transaction = ended.tables.transaction()
        await transaction.start()
        await ended.tables.execute(change)
        kinds = await ended.kinds()
        await transaction.rollback()
        if kind not in kinds:
            overlooked[mutant] = kinds
    assert overlooked == {}


PLAIN, BELOW = (f"WHERE name = '{name}'" for name in ("plain", "below"))

# By what is said of them: rows that no moment may show.
RULES = {
    "counters 0/1/0, steps 0/0/0": "UPDATE baton.workflows SET failed = 1",
    "counters 0/0/0, steps 0/0/0": "UPDATE baton.workflows SET finished_at = NULL",
    "counters 0/0/0, steps //": "DELETE FROM baton.workflow_nodes",
    "0 steps outstanding, completion": "DELETE FROM baton.workflow_completions",
    "counters 0/0/1, steps 0/0/0": "UPDATE baton.workflows SET skipped = 1",
    "{},{plain},0": "UPDATE baton.workflow_completions SET skipped_steps = '{plain}'",
    "settled skipped, its job is completed": (
        f"UPDATE baton.workflow_nodes SET state = 'skipped', result = NULL {BELOW}"
    ),
    ",failed,": "UPDATE baton.workflow_completions SET outcome = 'failed'",
    "settled completed, its job is available": (
        f"UPDATE baton.oban_jobs SET state = 'available' WHERE id = {JOB.format('plain')}"
    ),
    "pending 7, 0 dependencies unsettled": (
        f"UPDATE baton.workflow_nodes SET state = NULL, result = NULL, pending = 7 {BELOW}"
    ),
    "suspended for ever": (
        f"UPDATE baton.oban_jobs SET state = 'suspended' WHERE id = {JOB.format('below')}"
    ),
    "completed before its dependencies": (
        f"UPDATE baton.workflow_nodes SET state = 'discarded', result = NULL {PLAIN}"
    ),
    "settled completed with result": f"UPDATE baton.workflow_nodes SET result = NULL {PLAIN}",
    "is pending: its step is settled completed": (
        f"UPDATE baton.workflow_wait_groups SET status = 'pending' WHERE id = {GROUP}"
    ),
    "is completed with 0 of 1 events": (
        "UPDATE baton.workflow_wait_members SET state = 'missed', event_id = NULL"
        f" WHERE group_id = {GROUP}"
    ),
    "is kept by group": "UPDATE baton.workflow_events SET state = 'kept' WHERE name = 'p'",
    "is received with event": (
        "UPDATE baton.workflow_wait_members SET event_id = NULL WHERE name = 'p'"
    ),
    "is kept, sent before its deadline": (
        "UPDATE baton.workflow_wait_groups SET status = 'pending',"
        f" wake_at = now() + interval '1 h' WHERE id = {GROUP};"
        " UPDATE baton.workflow_wait_members SET state = 'waiting' WHERE name = 'q';"
        " INSERT INTO baton.workflow_events (workflow_id, name, payload)"
        " SELECT workflow_id, 'q', '{}' FROM baton.workflow_events WHERE name = 'p'"
    ),
}


async def test_every_rule_of_the_tables_can_be_broken(ended: Round) -> None:
    assert await violations(ended.tables) == []
    await ended.tables.execute("SET session_replication_role = replica")
    overlooked = {}
    for rule, change in RULES.items():
        transaction = ended.tables.transaction()
        await transaction.start()
        await ended.tables.execute(change)
        found = await violations(ended.tables)
        await transaction.rollback()
        if not any(rule in text for text in found):
            overlooked[rule] = found
    assert overlooked == {}


# Of workflows that people act on, whatever they do.
ACTED_ON = {
    Kind.UNSETTLED: f"UPDATE baton.workflow_nodes SET state = NULL, result = NULL {PLAIN}",
    Kind.LOST: f"DELETE FROM baton.workflow_nodes {PLAIN}",
    Kind.MISSING: "UPDATE baton.workflows SET run = 2",
    Kind.DUPLICATE: "INSERT INTO public.told SELECT * FROM public.told",
    Kind.SECOND: "DELETE FROM public.ledger WHERE mark = 'end'",
}


async def test_whatever_people_do_some_things_must_hold(ended: Round) -> None:
    workflow_id = ended.expected.workflow_id
    assert await verb_faults(ended.tables, [workflow_id]) == []
    await ended.tables.execute("SET session_replication_role = replica")
    for kind, change in ACTED_ON.items():
        transaction = ended.tables.transaction()
        await transaction.start()
        await ended.tables.execute(change)
        found = {fault.kind for fault in await verb_faults(ended.tables, [workflow_id])}
        await transaction.rollback()
        assert found == {kind}
    assert {fault.kind for fault in await verb_faults(ended.tables, [uuid4()])} == {Kind.LOST}


async def test_a_body_that_was_left_or_a_rescue_explains_another_run(ended: Round) -> None:
    start = MUTANTS["a second resume with the same end"][1]
    await ended.tables.execute(start)
    assert await ended.kinds() == {Kind.TWICE}
    await ended.tables.execute(
        "INSERT INTO public.ledger (mark, job_id, attempt, token, pid, ending)"
        f" VALUES ('left', {JOB.format('waits')}, 1, gen_random_uuid(), 1, 'UnreadError')"
    )
    assert await ended.kinds() == set()
    await ended.tables.execute(start)
    assert await ended.kinds() == {Kind.TWICE}
    await ended.tables.execute(
        "UPDATE baton.oban_jobs SET errors = errors || '{\"rescued\": true}'::jsonb"
        f" WHERE id = {JOB.format('waits')}"
    )
    assert await ended.kinds() == set()
