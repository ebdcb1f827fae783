"""The server's process dies after each statement of arming, sending, expiring and cancelling, also
inside our functions: what was begun is whole or nothing, and whoever goes on brings it to its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from baton import Baton, insert_all
from baton.errors import WorkflowFinishedError
from baton.words.rows import NewWait
from races.arena import Workflow, noop
from races.waiting import Move, WaitRing, cancel, send, sweep, wait_ring

TABLES = (
    "oban_jobs",
    "workflow_nodes",
    "workflows",
    "workflow_completions",
    "workflow_wait_groups",
    "workflow_wait_members",
    "workflow_events",
)
MOST = 60

TRAP = """
CREATE SEQUENCE public.statements;
CREATE TABLE public.trap (at bigint);
CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_seen bigint;
BEGIN
    IF current_setting('application_name') = 'race-0' THEN
        v_seen := nextval('public.statements');
        IF v_seen = (SELECT at FROM public.trap) THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
            PERFORM pg_sleep(30);
        END IF;
    END IF;
    RETURN NULL;
END $$;
"""
TRAP += "".join(
    f"CREATE TRIGGER die AFTER INSERT OR UPDATE OR DELETE ON baton.{table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION public.die();"
    for table in TABLES
)


_OVER = """
UPDATE baton.workflow_wait_groups
SET deadline = now() - interval '1 s', wake_at = now() - interval '1 s'
WHERE status = 'pending'
"""


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[WaitRing]:
    async with wait_ring(dsn) as made:
        await made.monitor.execute(TRAP)
        yield made


async def dies(ring: WaitRing, move: Move, at: int) -> bool:
    """Make a move whose process dies after its statement `at`; whether it got that far."""
    await ring.monitor.execute("SELECT setval('public.statements', 1, false)")
    await ring.monitor.execute("DELETE FROM public.trap")
    await ring.monitor.execute("INSERT INTO public.trap VALUES ($1)", at)
    try:
        await move(ring.sides[0])
    except WorkflowFinishedError:
        raise
    except Exception:
        return True
    finally:
        await ring.monitor.execute("DELETE FROM public.trap")
    return False


GATE: dict[str, Any] = {"any_of": ["x", "y"]}


def chain() -> Baton:
    return (
        Baton()
        .add("a", noop.new())
        .wait("g1", deps=["a"], **GATE)
        .wait("g2", any_of=["z"], deps=["g1"])
    )


async def arm_a_gate(ring: WaitRing) -> tuple[Workflow, Move]:
    """The events of two gates are there when the step above completes: all ends with it."""
    (workflow,) = await ring.insert(chain, 1)
    for name in "zx":
        await send(workflow.id, name)(ring.sides[1])
    return workflow, ring.complete(workflow["a"])


async def arm_a_step(ring: WaitRing) -> tuple[Workflow, Move]:
    (workflow,) = await ring.insert(lambda: Baton().add("s", noop.new()), 1)
    await send(workflow.id, "x")(ring.sides[1])
    return workflow, ring.suspend(workflow["s"], NewWait(("x",), 1, replay_key="#1"))


async def send_to_a_gate(ring: WaitRing) -> tuple[Workflow, Move]:
    (workflow,) = await ring.insert(chain, 1)
    await send(workflow.id, "z", dedupe_id="z")(ring.sides[1])
    await ring.complete(workflow["a"])(ring.sides[1])
    return workflow, send(workflow.id, "x", dedupe_id="d")


async def send_to_a_step(ring: WaitRing) -> tuple[Workflow, Move]:
    (workflow,) = await ring.insert(lambda: Baton().add("s", noop.new()), 1)
    await ring.suspend(workflow["s"], NewWait(("x",), 1, replay_key="#1"))(ring.sides[1])
    return workflow, send(workflow.id, "x", dedupe_id="d")


async def expiring(ring: WaitRing, **options: Any) -> tuple[Workflow, Move]:
    (workflow,) = await ring.insert(
        lambda: (
            Baton()
            .add("a", noop.new())
            .wait("g", any_of=["x"], deps=["a"], timeout=3600, **options)
            .add("b", noop.new(), deps=["g"])
        ),
        1,
    )
    await ring.complete(workflow["a"])(ring.sides[1])
    await ring.monitor.execute(_OVER)
    return workflow, sweep


async def expire_a_gate(ring: WaitRing) -> tuple[Workflow, Move]:
    return await expiring(ring)


async def expire_and_cancel(ring: WaitRing) -> tuple[Workflow, Move]:
    return await expiring(ring, on_timeout="cancel")


async def expire_a_step(ring: WaitRing) -> tuple[Workflow, Move]:
    (workflow,) = await ring.insert(lambda: Baton().add("s", noop.new()), 1)
    wait = NewWait((), 1, replay_key="#1", timeout=3600)
    await ring.suspend(workflow["s"], wait)(ring.sides[1])
    await ring.monitor.execute(_OVER)
    return workflow, sweep


async def cancel_a_gate(ring: WaitRing) -> tuple[Workflow, Move]:
    (workflow,) = await ring.insert(chain, 1)
    await ring.complete(workflow["a"])(ring.sides[1])
    return workflow, cancel(workflow.id, "g1")


async def send_by_a_key(ring: WaitRing) -> tuple[Workflow, Move]:
    (workflow,) = await ring.insert(
        lambda: Baton().add("a", noop.new()).wait("g", any_of=["x"], correlation_key="k"), 1
    )
    return workflow, send(None, "x", correlation_key="k", dedupe_id=str(workflow.id))


async def insert_a_gate(ring: WaitRing) -> tuple[Workflow, Move]:
    baton = Baton().add("a", noop.new()).wait("g", any_of=["x"]).wait("h", any_of=["y"], deps=["a"])

    async def move(database: Any) -> None:
        async with database.connection() as connection:
            await insert_all([baton], conn=connection)

    return Workflow(baton.workflow_id, {}), move


Prepare = Callable[[WaitRing], Awaitable[tuple[Workflow, Move]]]
ENDED = {"completed", "timeout", "cancelled"}


@pytest.mark.parametrize(
    ("prepare", "statuses", "least"),
    [
        (arm_a_gate, ["completed", "completed"], 12),
        (arm_a_step, ["completed"], 8),
        (send_to_a_gate, ["completed", "completed"], 12),
        (send_to_a_step, ["completed"], 6),
        (expire_a_gate, ["timeout"], 6),
        (expire_and_cancel, ["timeout"], 6),
        (expire_a_step, ["timeout"], 3),
        (cancel_a_gate, ["cancelled", "cancelled"], 6),
        (send_by_a_key, ["completed"], 8),
        (insert_a_gate, ["dormant", "pending"], 6),
    ],
)
async def test_dying_after_every_statement(
    ring: WaitRing, prepare: Prepare, statuses: list[str], least: int
) -> None:
    for at in range(1, MOST):
        workflow, move = await prepare(ring)
        died = await dies(ring, move, at)
        # Nothing half-way is left; whoever does it again, or looks, brings it to its end.
        assert await ring.violations() == []
        if died:
            await go_on(ring, move)
        found = await ring.monitor.fetch(
            "SELECT status FROM baton.workflow_wait_groups WHERE workflow_id = $1 ORDER BY status",
            workflow.id,
        )
        assert [row["status"] for row in found] == statuses
        assert await ring.violations() == []
        if not died:
            break
    assert at > least


async def go_on(ring: WaitRing, move: Move) -> None:
    try:
        await move(ring.sides[1])
    except WorkflowFinishedError:
        return
    await ring.monitor.execute(
        "UPDATE baton.workflow_events SET wake_at = now() WHERE state = 'open'"
    )
    await sweep(ring.sides[2])
