"""One trace over several processes, one of which is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg
from opentelemetry import trace

from baton import Baton, insert_all
from engine.test_kill import OPTIONS, RESCUE_AFTER, RESCUE_INTERVAL, SLACK, ended
from support import busy_processes
from support.otel import instrumented
from support.running import running
from two_engines import truth, watching
from two_engines.diamonds import DEPS, SOUND
from two_engines.graphs import Expected
from two_engines.process import engine_process


def spans(*paths: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def number(text: str) -> int:
    return int(text, 16)


async def test_a_killed_process_breaks_no_trace(dsn: str, tmp_path: Path) -> None:
    await truth.create(dsn)
    first, second = tmp_path / "first", tmp_path / "second"
    tables = await asyncpg.connect(dsn)
    with instrumented() as otel:
        async with (
            engine_process(dsn, spans=first, **OPTIONS) as victim,
            engine_process(dsn, spans=second, **OPTIONS),
        ):
            workflows = [SOUND.workflow(0.2, 1) for _ in range(10)]
            for workflow in workflows:
                await workflow.insert(conn=tables)
            # It has ended some steps, whose dependents somebody else will perform.
            await watching.ended(tables, victim.pid, count=4)
            await watching.busy(tables, victim.pid, count=3)
            await victim.kill()
            expected = [Expected(workflow.workflow_id, SOUND) for workflow in workflows]
            deadline = RESCUE_AFTER + RESCUE_INTERVAL + SLACK
            await ended(tables, expected, deadline)
        sends = otel.spans_of(messaging__operation__type="send")
    await tables.close()
    assert len(sends) == len(workflows)
    found = spans(first, second)
    killed_ones = {span["context"]["span_id"] for span in spans(first)}
    attempts: dict[tuple[str, str], dict[str, Any]] = {}
    for span in found:
        facts = span["attributes"]
        if facts["messaging.operation.type"] == "process":
            step = facts["baton.workflow.id"], facts["baton.step.name"]
            # The killed process said nothing of the attempts that it could not end; what it ended
            # and could not settle any more, somebody else did again.
            assert step not in attempts or attempts[step]["context"]["span_id"] in killed_ones
            attempts[step] = span
    assert len(attempts) == 4 * len(workflows)
    over_processes = 0
    for workflow, send in zip(workflows, sends, strict=True):
        parent = send.get_span_context()
        assert parent is not None
        for name, deps in DEPS.items():
            span = attempts[str(workflow.workflow_id), name]
            assert number(span["context"]["trace_id"]) == parent.trace_id
            assert number(span["parent_id"]) == parent.span_id
            above = {attempts[str(workflow.workflow_id), dep]["context"]["span_id"] for dep in deps}
            assert {link["context"]["span_id"] for link in span["links"]} == above
            in_first = span["context"]["span_id"] in killed_ones
            over_processes += not in_first and bool(above & killed_ones)
    assert over_processes


async def test_insert_all_is_one_trace_each_process_goes_on_with(dsn: str, tmp_path: Path) -> None:
    await truth.create(dsn)
    path = tmp_path / "spans"
    with instrumented() as otel:
        async with engine_process(dsn, spans=path, **OPTIONS):
            tables = await asyncpg.connect(dsn)
            workflows = [SOUND.workflow(0, 1) for _ in range(3)]
            await insert_all(workflows, conn=tables)
            await ended(tables, [Expected(w.workflow_id, SOUND) for w in workflows], SLACK)
            await tables.close()
        (send,) = otel.spans_of(messaging__operation__type="send")
    context = send.get_span_context()
    assert context is not None
    traces = {
        number(span["context"]["trace_id"])
        for span in spans(path)
        if span["attributes"]["messaging.operation.type"] == "process"
    }
    assert traces == {context.trace_id}


async def test_the_trace_of_an_attempt_reaches_the_process_of_its_step(dsn: str) -> None:
    workflow = Baton().add("a", busy_processes.traced.new())
    with instrumented() as otel:
        async with running(dsn) as run:
            await run.completed(workflow)
            found = (await run.tables.step(workflow, "a")).result
        (attempt,) = otel.spans_of(baton__step__name="a")
    assert attempt.context is not None
    assert found == [
        trace.format_trace_id(attempt.context.trace_id),
        trace.format_span_id(attempt.context.span_id),
    ]
