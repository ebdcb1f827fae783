"""Races of waits in rounds, with real connections; and the variants that lose them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from baton import Baton, Delivery
from baton.runtime.executor import release
from baton.store.jobs import requeue_jobs
from baton.store.store import Store
from baton.words.rows import ClaimedJob, NewWait
from races.arena import noop
from races.waiting import WaitRing, cancel, send, sweep, wait_ring
from support.waiting import eventually

ROUNDS = 400
MUTANT_ROUNDS = 400
FORMS: dict[str, tuple[dict[str, Any], int]] = {
    "any": ({"any_of": ["x", "y", "z"]}, 1),
    "all": ({"all_of": ["x", "y", "z"]}, 3),
    "two": ({"at_least": (2, ["x", "y", "z"])}, 2),
}

NO_LOCK = (r"FOR NO KEY UPDATE( SKIP LOCKED)?", "")


@pytest.fixture
async def ring(dsn: str) -> AsyncIterator[WaitRing]:
    async with wait_ring(dsn) as made:
        yield made


async def unlock(ring: WaitRing) -> None:
    """The mutant without the workflow's lock."""
    for function in ("baton_send", "baton_suspend", "baton_lock_free", "baton_settle_and_claim"):
        await ring.mutate(function, NO_LOCK)


async def arm_gates(ring: WaitRing, form: str, rounds: int) -> list[int]:
    """The step above completes while the events are sent."""
    options, need = FORMS[form]
    workflows = await ring.insert(
        lambda: Baton().add("a", noop.new()).wait("g", deps=["a"], **options), rounds
    )
    for workflow in workflows:
        # One more would find the workflow finished.
        sends = [send(workflow.id, name, name) for name in "xyz"[:need]]
        await ring.at_once(ring.complete(workflow["a"]), *sends)
    return [workflow["g"] for workflow in workflows]


async def arm_steps(ring: WaitRing, form: str, rounds: int) -> list[int]:
    """A step goes to sleep while three events are sent."""
    need = FORMS[form][1]
    wait = NewWait(("x", "y", "z"), need, replay_key="#1")
    workflows = await ring.insert(lambda: Baton().add("s", noop.new()), rounds)
    for workflow in workflows:
        sent = await ring.at_once(
            ring.suspend(workflow["s"], wait), *(send(workflow.id, n, n) for n in "xyz")
        )
        assert sent[0] == 1
        assert sent.count(Delivery.SETTLED) <= 1
    return [workflow["s"] for workflow in workflows]


@pytest.mark.parametrize("form", FORMS)
async def test_arming_a_gate_while_events_are_sent(ring: WaitRing, form: str) -> None:
    gates = await arm_gates(ring, form, ROUNDS)
    assert await ring.statuses() == {"completed": ROUNDS}
    assert await ring.states(gates) == {"completed": ROUNDS}
    assert await ring.settled() == Counter(gates)
    assert await ring.violations() == []


@pytest.mark.parametrize("form", FORMS)
async def test_a_step_goes_to_sleep_while_events_are_sent(ring: WaitRing, form: str) -> None:
    steps = await arm_steps(ring, form, ROUNDS)
    assert await ring.statuses() == {"completed": ROUNDS}
    assert await ring.states(steps) == {"available": ROUNDS}
    assert await ring.settled() == Counter(steps)
    assert await ring.violations() == []


@pytest.mark.parametrize("arm", [arm_gates, arm_steps])
async def test_without_the_lock_a_wake_up_is_lost(ring: WaitRing, arm: Any) -> None:
    await unlock(ring)
    await arm(ring, "all", MUTANT_ROUNDS)
    assert (await ring.statuses())["pending"] > 0
    assert await ring.violations() != []


OVER = """
SELECT NOT EXISTS (
    SELECT FROM baton.workflow_wait_groups
    WHERE job_id = $1 AND status = 'pending' AND wake_at > clock_timestamp()
)
"""


async def contend(ring: WaitRing, rounds: int, *, gate: bool) -> list[int]:
    """Two events, two sweeps and a cancellation compete for waits whose time is just over, or about
    to be.
    """
    brief: dict[str, Any] = {"all_of": ["x", "y"], "timeout": 0.004}

    def gated() -> Baton:
        return Baton().add("a", noop.new()).wait("s", deps=["a"], **brief).wait("z", any_of=["z"])

    def stepped() -> Baton:
        return Baton().add("s", noop.new()).wait("z", any_of=["z"])

    workflows = await ring.insert(gated if gate else stepped, rounds)
    wait = NewWait(("x", "y"), 2, replay_key="#1", timeout=0.004)
    for number, workflow in enumerate(workflows):
        arm = ring.complete(workflow["a"]) if gate else ring.suspend(workflow["s"], wait)
        await arm(ring.sides[0])
        if number % 2:
            await eventually(partial(ring.monitor.fetchval, OVER, workflow["s"]))
        await ring.at_once(
            send(workflow.id, "x"), send(workflow.id, "y"), sweep, sweep, cancel(workflow.id, "s")
        )
    return [workflow["s"] for workflow in workflows]


@pytest.mark.parametrize("gate", [True, False])
async def test_events_sweeps_and_a_cancellation(ring: WaitRing, gate: bool) -> None:
    """Each wait ends once, by one of the three."""
    steps = await contend(ring, ROUNDS, gate=gate)
    statuses = await ring.statuses()
    del statuses["pending"]
    assert statuses.total() == ROUNDS
    # Which of them wins how often is the machine's affair; that they compete is not.
    assert set(statuses) <= {"completed", "timeout", "cancelled"}
    assert len(statuses) >= 2
    assert await ring.settled() == Counter(steps)
    states = await ring.states(steps)
    if gate:
        ended = statuses["completed"] + statuses["timeout"]
        assert states == {"completed": ended, "cancelled": statuses["cancelled"]}
    else:
        assert states == {"available": ROUNDS}
    assert await ring.violations() == []


async def test_without_the_guard_a_wait_ends_twice(ring: WaitRing) -> None:
    """What a sweep found before the lock is not what holds after it."""
    await ring.mutate(
        "baton_expire", (r"AND g\.status = 'pending' AND g\.wake_at <= clock_timestamp\(\)", "")
    )
    await ring.mutate(
        "baton_decide_waits", (r"(WHERE g\.id = v_group\.id) AND g\.status = 'pending';", r"\1;")
    )
    await contend(ring, MUTANT_ROUNDS, gate=False)
    assert max((await ring.settled()).values()) > 1


async def two_groups(ring: WaitRing, rounds: int) -> None:
    workflows = await ring.insert(
        lambda: (
            Baton()
            .add("a", noop.new())
            .add("b", noop.new())
            .wait("g1", any_of=["x"], deps=["a"])
            .wait("g2", any_of=["x"], deps=["b"])
        ),
        rounds,
    )
    for workflow in workflows:
        await ring.at_once(
            ring.complete(workflow["a"]),
            ring.complete(workflow["b"]),
            send(workflow.id, "x", 1),
            send(workflow.id, "x", 2),
        )


async def test_two_groups_on_one_name(ring: WaitRing) -> None:
    """Two events for two groups: each takes one, whatever comes first."""
    await two_groups(ring, ROUNDS)
    assert await ring.statuses() == {"completed": 2 * ROUNDS}
    taken = await ring.monitor.fetchval(
        "SELECT count(DISTINCT event_id) FROM baton.workflow_wait_members"
    )
    assert taken == 2 * ROUNDS
    assert set((await ring.settled()).values()) == {1}
    assert await ring.violations() == []


async def test_without_the_lock_two_groups_lose(ring: WaitRing) -> None:
    await unlock(ring)
    await two_groups(ring, MUTANT_ROUNDS)
    assert (await ring.statuses())["completed"] < 2 * MUTANT_ROUNDS
    assert await ring.violations() != []


async def by_key(ring: WaitRing, rounds: int) -> list[int]:
    """Two steps begin to wait with a key while an event is sent by it."""
    workflows = await ring.insert(lambda: Baton().add("a", noop.new()).add("s", noop.new()), rounds)
    for number, workflow in enumerate(workflows):
        wait = NewWait(("x",), 1, replay_key="#1", correlation_key=f"k{number}")
        await ring.at_once(
            ring.suspend(workflow["s"], wait),
            send(None, "x", number, correlation_key=f"k{number}"),
            ring.suspend(workflow["a"], wait),
        )
    return [workflow[name] for workflow in workflows for name in "sa"]


async def test_waiting_with_a_key_while_an_event_is_sent_by_it(ring: WaitRing) -> None:
    """Whoever comes before or at the same time gets it; one who comes later finds it only when
    nobody had it.
    """
    steps = await by_key(ring, ROUNDS)
    await ring.settle_down()
    statuses = await ring.statuses()
    assert statuses["completed"] >= ROUNDS
    assert statuses.total() == 2 * ROUNDS
    alone = await ring.monitor.fetchval(
        "SELECT count(*) FROM baton.workflow_events WHERE receivers = 0 OR state = 'open'"
    )
    assert alone == 0
    assert set((await ring.settled()).values()) == {1}
    assert (await ring.states(steps))["available"] == statuses["completed"]
    assert await ring.violations() == []


async def zombies(ring: WaitRing, rounds: int) -> Counter[tuple[bool, bool]]:
    """A step is rescued while its first run goes to sleep: (slept, rescued)."""
    workflows = await ring.insert(lambda: Baton().add("s", noop.new()), rounds)
    found: Counter[tuple[bool, bool]] = Counter()
    for workflow in workflows:
        first = ring.claims[workflow["s"]]

        async def rescue(database: Store, job: ClaimedJob = first) -> bool:
            return bool(await requeue_jobs(database, [release(job)], notify=False))

        slept, ran = await ring.at_once(
            ring.suspend(first.id, NewWait(("x",), 1, replay_key="#1")), rescue
        )
        found[bool(slept), bool(ran)] += 1
    return found


async def test_a_stale_run_does_not_put_the_step_to_sleep(ring: WaitRing) -> None:
    found = await zombies(ring, ROUNDS)
    assert set(found) == {(True, False), (False, True)}
    assert await ring.violations() == []


async def test_without_the_fence_it_does(ring: WaitRing) -> None:
    await ring.mutate(
        "baton_suspend",
        (r"AND \(j\.state = 'executing'\) IS TRUE AND j\.attempted_at = v_one\.claim", ""),
    )
    assert (await zombies(ring, MUTANT_ROUNDS))[True, True] > 0
