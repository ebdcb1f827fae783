"""Events: sent early, late, twice, wrongly, by a key, on a caller's connection."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from baton import Baton, Delivery, Engine, Step, insert_all, schema, send_event, worker
from baton.errors import (
    InvalidArgumentError,
    InvalidNameError,
    InvalidOptionError,
    InvalidPayloadError,
    IsolationError,
    NoEngineError,
    NotStorableError,
    TooLargeError,
    UnknownWorkflowError,
    WorkflowFinishedError,
)
from baton.words.events import EventReceived, StepSuspended
from support.borrowing import engine_of
from support.deciding import BAD, GOOD, Decision, gate, keyed
from support.running import running
from support.waits import mailbox, statuses, until_waits


@worker(name="events.decided", max_attempts=1)
async def decided(step: Step) -> Any:
    found = await step.wait_for("x", payload_type=Decision, prompt="Well?")
    assert isinstance(found, Decision)
    return found.by


async def test_an_event_is_kept_until_a_wait_comes_and_given_once(dsn: str) -> None:
    workflow = Baton().wait("g1", any_of=["x"]).wait("g2", any_of=["x"], deps=["g1"])
    async with running(dsn) as run:
        await run.insert(workflow)
        sent = [await send_event(workflow.workflow_id, "x", number) for number in range(2)]
        assert sent == [Delivery.SETTLED, Delivery.SETTLED]
        await run.end(workflow)
        values = [
            await run.engine.workflow(workflow.workflow_id).result(name) for name in ("g1", "g2")
        ]
    assert [value["events"] for value in values] == [{"x": 0}, {"x": 1}]


async def test_two_groups_on_one_name_take_one_event_each_the_oldest_first(dsn: str) -> None:
    workflow = Baton().wait("g1", all_of=["x", "y"]).wait("g2", all_of=["x", "y"])
    async with running(dsn) as run:
        await run.insert(workflow)
        sent = [await send_event(workflow.workflow_id, name, i) for i, name in enumerate("xyxy")]
        assert sent == ["delivered", "settled"] * 2
        await run.end(workflow)
        values = [
            await run.engine.workflow(workflow.workflow_id).result(name) for name in ("g1", "g2")
        ]
    assert [value["events"] for value in values] == [{"x": 0, "y": 1}, {"x": 2, "y": 3}]


async def test_what_comes_after_the_end_is_kept_and_told(dsn: str) -> None:
    workflow = Baton().wait("gate", any_of=["x"]).wait("other", any_of=["z"])
    async with running(dsn) as run:
        await run.insert(workflow)
        sent = [await send_event(workflow.workflow_id, "x", i) for i in range(2)]
        assert sent == [Delivery.SETTLED, Delivery.BUFFERED]
        assert await mailbox(run.tables, workflow.workflow_id) == ["x"]
        result = await run.engine.workflow(workflow.workflow_id).result("gate")
        assert result["events"] == {"x": 0}
        await send_event(workflow.workflow_id, "z")


async def test_what_comes_after_the_deadline_is_late_though_nobody_has_swept(dsn: str) -> None:
    """The deadline decides, not the sweep: an engine that is away does not lengthen it."""
    workflow = Baton().wait("gate", any_of=["x"], timeout=3600)
    async with running(dsn, queues={}) as run:
        await run.insert(workflow)
        await run.tables.execute(
            "UPDATE baton.workflow_wait_groups"
            " SET deadline = now() - interval '1 s', wake_at = now() - interval '1 s'"
        )
        assert await send_event(workflow.workflow_id, "x") is Delivery.BUFFERED
        assert await statuses(run.tables, workflow) == ["pending"]
        async with running(dsn) as engine:
            await engine.end(workflow)
            result = await engine.engine.workflow(workflow.workflow_id).result("gate")
            assert result["outcome"] == "timeout"


async def test_a_dedupe_id_counts_once(dsn: str) -> None:
    workflow = gate("x", "y")
    async with running(dsn) as run:
        await run.insert(workflow)
        for expected in (Delivery.DELIVERED, Delivery.DUPLICATE, Delivery.DUPLICATE):
            assert await send_event(workflow.workflow_id, "x", 1, dedupe_id="d") is expected
        assert await send_event(workflow.workflow_id, "y", 1, dedupe_id="d") is Delivery.SETTLED
        duplicates = await run.tables.value(
            "SELECT array_agg(duplicates ORDER BY id) FROM baton.workflow_events"
        )
        assert duplicates == [2, 0]
        told = [event.delivery for event in run.events.of(EventReceived)]
        assert told == ["delivered", "duplicate", "duplicate", "settled"]


async def test_finished_and_unknown_workflows(dsn: str) -> None:
    workflow = gate()
    async with running(dsn) as run:
        await run.insert(workflow)
        await send_event(workflow.workflow_id, "x")
        with pytest.raises(WorkflowFinishedError, match="has finished: no event can reach it"):
            await send_event(str(workflow.workflow_id), "x")
        await run.tables.execute("DELETE FROM baton.workflows")
        with pytest.raises(WorkflowFinishedError):
            await send_event(workflow.workflow_id, "x")
        with pytest.raises(UnknownWorkflowError):
            await send_event(uuid4(), "x")
        await run.tables.execute(
            "TRUNCATE baton.workflow_completions, baton.workflow_nodes, baton.oban_jobs,"
            " baton.workflow_wait_groups, baton.workflow_wait_members, baton.workflow_events"
        )


async def test_what_ended_the_workflow_may_be_sent_again(dsn: str) -> None:
    workflow = gate()
    async with running(dsn) as run:
        await run.insert(workflow)
        assert await send_event(workflow.workflow_id, "x", dedupe_id="d") is Delivery.SETTLED
        assert await send_event(workflow.workflow_id, "x", dedupe_id="d") is Delivery.DUPLICATE
        async with engine_of(dsn) as alchemy, alchemy.begin() as conn:
            again = await send_event(workflow.workflow_id, "x", dedupe_id="d", conn=conn)
        assert again is Delivery.DUPLICATE
        for name, dedupe_id in (("x", "e"), ("y", "d")):
            with pytest.raises(WorkflowFinishedError):
                await send_event(workflow.workflow_id, name, dedupe_id=dedupe_id)
        assert await run.tables.value("SELECT duplicates FROM baton.workflow_events") == 2


@pytest.mark.parametrize(
    ("args", "options", "error"),
    [
        ((None, "x"), {}, InvalidArgumentError),
        ((uuid4(), "x"), {"correlation_key": "k"}, InvalidArgumentError),
        (("no uuid", "x"), {}, InvalidArgumentError),
        ((uuid4(), ""), {}, InvalidNameError),
        ((uuid4(), 5), {}, InvalidNameError),
        ((None, "x"), {"correlation_key": " k"}, InvalidNameError),
        ((uuid4(), "x"), {"dedupe_id": ""}, InvalidNameError),
        ((uuid4(), "x", object()), {}, NotStorableError),
        ((uuid4(), "x", "\0"), {}, NotStorableError),
        ((uuid4(), "x", float("nan")), {}, NotStorableError),
        ((uuid4(), "x", "x" * 1_100_000), {}, TooLargeError),
        ((uuid4(), "x"), {"engine": "nobody"}, NoEngineError),
    ],
)
async def test_what_is_refused(
    dsn: str, args: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    async with running(dsn, queues={}):
        with pytest.raises(error):
            await send_event(*args, **options)


async def test_a_workflow_given_for_its_id(dsn: str) -> None:
    async with running(dsn, queues={}):
        with pytest.raises(InvalidArgumentError, match="a UUID or its text: its workflow_id"):
            await send_event(gate(), "x")  # type: ignore[arg-type]


async def test_an_invalid_payload_is_refused_and_changes_nothing(dsn: str) -> None:
    workflow = Baton().add("a", decided.new())
    async with running(dsn) as run:
        await run.insert(workflow)
        await until_waits(run.tables, workflow)
        counted = "SELECT count(*) FROM baton.workflow_events"
        wrongs: list[Any] = [BAD, None, 5, [], {**GOOD, "level": "none"}]
        for wrong in wrongs:
            with pytest.raises(InvalidPayloadError, match="nothing was changed") as caught:
                await send_event(workflow.workflow_id, "x", wrong)
            assert caught.value.event == "x"
            assert caught.value.problems
        assert await run.tables.value(counted) == 0
        assert await statuses(run.tables, workflow) == ["pending"]
        assert await send_event(workflow.workflow_id, "x", GOOD) is Delivery.SETTLED
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("a") == "ada"


async def test_a_gate_that_is_not_armed_refuses_too(dsn: str) -> None:
    workflow = (
        Baton()
        .wait("g1", any_of=["y"])
        .wait("g2", any_of=["x"], deps=["g1"], payload_type=Decision)
    )
    async with running(dsn) as run:
        await run.insert(workflow)
        with pytest.raises(InvalidPayloadError, match=r"\['by'\]: 'a' is too short"):
            await send_event(workflow.workflow_id, "x", {"approved": True, "by": "a"})
        assert await send_event(workflow.workflow_id, "x", GOOD) is Delivery.BUFFERED
        await send_event(workflow.workflow_id, "y")
        await run.end(workflow)
        result = await run.engine.workflow(workflow.workflow_id).result("g2")
        assert result["events"] == {"x": GOOD}


async def test_a_kept_event_that_a_later_wait_refuses_is_passed_by(dsn: str) -> None:
    """Nobody waited when it was sent, so nobody could refuse it then."""
    workflow = Baton().add("a", decided.new())
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(workflow)
        assert await send_event(workflow.workflow_id, "x", BAD) is Delivery.BUFFERED
        run.engine.queue("default").resume()
        await run.events.until(StepSuspended)
        await until_waits(run.tables, workflow)
        assert await send_event(workflow.workflow_id, "x", GOOD) is Delivery.SETTLED
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("a") == "ada"


async def test_a_kept_event_that_a_later_wait_takes(dsn: str) -> None:
    workflow = Baton().add("a", decided.new())
    async with running(dsn) as run:
        run.engine.queue("default").pause()
        await run.insert(workflow)
        for payload in (BAD, GOOD):
            await send_event(workflow.workflow_id, "x", payload)
        run.engine.queue("default").resume()
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("a") == "ada"


async def test_the_group_that_takes_the_payload_gets_it(dsn: str) -> None:
    workflow = (
        Baton()
        .wait("strict", any_of=["x"], payload_type=Decision)
        .wait("count", any_of=["x"], payload_type=int)
        .wait("any", any_of=["x"])
    )
    async with running(dsn) as run:
        await run.insert(workflow)
        for payload in (5, "text", GOOD):
            assert await send_event(workflow.workflow_id, "x", payload) is Delivery.SETTLED
        await run.end(workflow)
        found = {
            name: (await run.engine.workflow(workflow.workflow_id).result(name))["events"]["x"]
            for name in workflow.step_names
        }
        assert found == {"strict": GOOD, "count": 5, "any": "text"}


async def test_what_waits_can_be_listed(dsn: str) -> None:
    workflow = (
        Baton(workflow_name="order")
        .wait(
            "legal", at_least=(1, ["a", "b"]), prompt="Legal?", payload_type={"a": int}, timeout=60
        )
        .add("s", keyed.new(key="k1"))
    )
    async with running(dsn) as run:
        await run.insert(workflow)
        await until_waits(run.tables, workflow, 2)
        legal, step = await run.engine.workflow(workflow.workflow_id).waiting_steps()
        assert (legal.step, legal.replay_key, legal.workflow_name) == ("legal", "", "order")
        assert (legal.names, legal.need, legal.missing) == (("a", "b"), 1, ("a", "b"))
        assert (legal.prompt, legal.payload_schema) == ("Legal?", {"a": {"type": "integer"}})
        assert legal.deadline is not None
        assert (legal.deadline - legal.since).total_seconds() == 60
        assert (step.step, step.replay_key, step.correlation_key) == ("s", "#1", "k1")
        assert step.deadline is None
        everywhere = await run.engine.insights.waiting_steps(limit=1)
        assert everywhere.rows == (legal,)
        rest = await run.engine.insights.waiting_steps(after=everywhere.next)
        assert (rest.rows, rest.next) == ((step,), None)
        assert not await run.engine.workflow(uuid4()).waiting_steps()
        with pytest.raises(InvalidOptionError):
            await run.engine.insights.waiting_steps(limit=0)
        await run.engine.workflow(workflow.workflow_id).cancel()


async def hostile(dsn: str) -> asyncpg.Connection[Any]:
    """A connection whose codecs and search path nobody expects."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "nowhere"})
    for name in ("jsonb", "json", "uuid", "int8", "int4", "bool", "timestamptz", "timestamp"):
        await connection.set_type_codec(
            name, encoder=lambda _: "wrong", decoder=lambda _: "wrong", schema="pg_catalog"
        )
    return connection


async def test_an_event_joins_the_callers_transaction(dsn: str) -> None:
    workflow = Baton().wait("g", any_of=["x"]).add("s", keyed.new(), deps=["g"])
    connection = await hostile(dsn)
    async with running(dsn) as run:
        await run.insert(workflow)
        transaction = connection.transaction()
        await transaction.start()
        assert await send_event(workflow.workflow_id, "x", 1, conn=connection) is Delivery.SETTLED
        assert await statuses(run.tables, workflow) == ["pending"]
        await transaction.rollback()
        assert await run.tables.value("SELECT count(*) FROM baton.workflow_events") == 0
        async with connection.transaction():
            await send_event(workflow.workflow_id, "x", 2, conn=connection, dedupe_id="d")
            with pytest.raises(UnknownWorkflowError):
                await send_event(uuid4(), "x", conn=connection)
            sent = await send_event(workflow.workflow_id, "x", 2, conn=connection, dedupe_id="d")
            assert sent is Delivery.DUPLICATE
        await run.events.until(StepSuspended)
        result = await run.engine.workflow(workflow.workflow_id).result("g")
        assert result["events"] == {"x": 2}
        await until_waits(run.tables, workflow)
        assert (
            await send_event(None, "x", 3, correlation_key="k", conn=connection)
            is Delivery.BUFFERED
        )
        await run.end(workflow)
        assert await run.engine.workflow(workflow.workflow_id).result("s") == 3
    await connection.close()


async def test_an_event_in_a_sqlalchemy_session(dsn: str) -> None:
    workflow = gate(payload_type=Decision)
    async with engine_of(dsn) as alchemy, running(dsn) as run:
        await run.insert(workflow)
        async with AsyncSession(alchemy) as session, session.begin():
            await session.execute(text("SELECT 1"))
            with pytest.raises(InvalidPayloadError):
                await send_event(workflow.workflow_id, "x", BAD, conn=session)
            assert await send_event(workflow.workflow_id, "x", GOOD, conn=session) == "settled"
        await run.end(workflow)


@pytest.mark.parametrize("level", ["repeatable_read", "serializable"])
@pytest.mark.parametrize("key", [None, "k"])
async def test_a_higher_isolation_is_refused(dsn: str, level: Any, key: str | None) -> None:
    """Its snapshot is older than the lock it waits for: a group armed meanwhile is invisible."""
    workflow = gate(correlation_key="k")
    connection = await asyncpg.connect(dsn)
    async with running(dsn) as run:
        await run.insert(workflow)
        async with connection.transaction(isolation=level):
            with pytest.raises(IsolationError, match="READ COMMITTED"):
                await send_event(
                    None if key else workflow.workflow_id, "x", conn=connection, correlation_key=key
                )
            assert await connection.fetchval("SELECT 1") == 1
        await send_event(workflow.workflow_id, "x")
    await connection.close()


async def test_any_schema(empty_dsn: str) -> None:
    odd = "o\"d 's $send$"
    await schema.migrate(empty_dsn, schema=odd)
    connection = await asyncpg.connect(empty_dsn)
    workflow = gate(correlation_key="k").add("s", keyed.new(), deps=["gate"])
    from_start = Baton().wait("g", any_of=["x"], timeout=0.05)
    async with Engine(empty_dsn, schema=odd, queues={"default": 5}) as engine:
        await insert_all([workflow, from_start])
        assert await send_event(workflow.workflow_id, "x", conn=connection) is Delivery.SETTLED
        await engine.workflow(from_start.workflow_id).completion(timeout=20)
        await send_event(None, "x", correlation_key="k")
        await engine.workflow(workflow.workflow_id).completion(timeout=20)
    await connection.close()
