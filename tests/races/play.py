"""A random play of a workflow: people, engines and others do what they can, one after another.

After each operation the invariants hold, nothing that the gate forbids is performed (`oracle`), and
in the end everything ends. A play is drawn from its number alone.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from baton import Baton, BatonError, JobState, send_event
from baton.performing.perform import Performer
from baton.runs.actions import Told
from baton.runs.cancel import cancel_step
from baton.runs.complete import complete_step
from baton.runs.fork import Fork, fork_workflow
from baton.runs.pause import pause_workflow, resume_workflow
from baton.runs.retry import asked, retry_workflow
from baton.settling.settle_failures import hold, settle_failures
from baton.store.jobs import requeue_jobs
from baton.sweep.repair import Sweeper
from baton.words.config import EngineSettings
from baton.words.rows import ClaimedJob, Outcome
from races.arena import Arena, noop, settle
from races.oracle import RUN, gate

TOLD = Told(None, None)
OPERATIONS = 40
ROUNDS = 120
"""After which all must have ended."""
MODES = ("failed", "failed_and_downstream", "all")
ENDINGS = ("1", "1", "2", "discarded", "cancelled", "skipped", "given back")
WEIGHTS = {
    "claim": 30,
    "end": 30,
    "event": 6,
    "retry": 6,
    "retry_step": 6,
    "complete": 4,
    "cancel": 4,
    "pause": 3,
    "resume": 4,
    "fork": 2,
    "gates": 5,
}
KINDS = {
    "by the rules": WEIGHTS,
    "moved by hand": {**WEIGHTS, "move": 25, "gates": 14},
    "moved and deleted": {**WEIGHTS, "move": 25, "gates": 14, "delete": 3},
}
"""How often each operation comes. `move`: a sleeping job is made available; `gates`: what the gates
of moved steps have said is written, which others may have overtaken.
"""
CLEAR = """
DELETE FROM baton.oban_jobs;
TRUNCATE baton.workflows, baton.workflow_nodes, baton.workflow_events,
    baton.workflow_completions, baton.workflow_wait_groups, baton.workflow_wait_members CASCADE;
"""


def drawn(chance: random.Random) -> Baton:
    """A graph of a few steps with what steps may say of their dependencies."""
    flow = Baton()
    names: list[str] = []
    for number in range(chance.randint(3, 8)):
        name = f"n{number}"
        above = names[:]
        chance.shuffle(above)
        cut = chance.randint(0, 2) if chance.random() < 0.85 else 0
        deps = above[:cut]
        any_of = above[cut : cut + chance.choice([0, 0, 2, 2, 3])]
        if chance.random() < 0.15:
            deps, any_of = [*deps, *any_of], []
            flow.wait(name, any_of=["e"], deps=deps, **_rules(chance, deps, any_of))
        else:
            rules = _rules(chance, deps, any_of)
            flow.add(name, noop.new(), deps=deps, any_of=any_of or None, **rules)
        names.append(name)
    return flow


def _rules(chance: random.Random, deps: list[str], any_of: list[str]) -> dict[str, Any]:
    rules: dict[str, Any] = {"run_when_skipped": chance.random() < 0.25}
    if deps and chance.random() < 0.3:
        rules["when"] = {chance.choice(deps): chance.choice([1, 1, 2])}
    if deps and chance.random() < 0.15:
        rules["unless"] = {chance.choice(deps): chance.choice([1, 2])}
    if deps and not any_of and chance.random() < 0.2:
        return {**rules, "on_failure": True}
    rules["ignore_cancelled"] = chance.random() < 0.3
    rules["ignore_discarded"] = chance.random() < 0.3
    return rules


class Gated(NamedTuple):
    """What the gate has stopped, and what it says is to be written."""

    job: ClaimedJob
    outcome: Outcome


class Play:
    """`faults`: what should not have happened; `history`: what was done."""

    def __init__(self, ring: Arena, number: int, kind: str) -> None:
        self.ring = ring
        self.chance = random.Random(f"{kind} {number}")
        self.faults: list[str] = []
        self.history: list[str] = [f"play {number}, {kind}"]
        self._weights = KINDS[kind]
        self._moves = "move" in self._weights
        self._ids: list[UUID] = []
        self._names: tuple[str, ...] = ()
        self._running: dict[int, ClaimedJob] = {}
        self._gated: dict[int, Gated] = {}
        self._sweeper = Sweeper()

    async def play(self) -> None:
        """To the end, or to the first fault."""
        flow = drawn(self.chance)
        await self.ring.insert(flow)
        self._ids, self._names = [flow.workflow_id], tuple(flow.step_names)
        for _ in range(OPERATIONS):
            (chosen,) = self.chance.choices(list(self._weights), list(self._weights.values()))
            operation: Callable[[UUID, str], Awaitable[None]] = getattr(self, f"_{chosen}")
            workflow, step = self.chance.choice(self._ids), self.chance.choice(self._names)
            self.history.append(f"{chosen}: {step}")
            try:
                await operation(workflow, step)
            except BatonError as error:
                self.history.append(f"refused: {type(error).__name__}")
            if not self._moves:
                await self._look()
            if self.faults:
                return
        await self._to_the_end()

    async def _to_the_end(self) -> None:
        self.history.append("to the end")
        await self._try_each(lambda id: resume_workflow(self.ring.right, id, TOLD, notify=False))
        for _ in range(ROUNDS):
            await self._gates()
            await self._claim()
            await self._gates()
            await self._end(how="1")
            await self._try_each(lambda id: send_event(id, "e", 1, conn=self.ring.monitor))
            left = await self.ring.monitor.fetch(
                "SELECT n.name, n.pending, n.undecided, n.any_of_state::text, j.state::text"
                " FROM baton.workflow_nodes n LEFT JOIN baton.oban_jobs j ON j.id = n.job_id"
                " WHERE n.state IS NULL"
            )
            if self.faults or not left:
                break
        else:
            self.faults.append(f"has not ended: {list(map(tuple, left))}")
        await self._look()

    async def _try_each(self, verb: Callable[[UUID], Awaitable[object]]) -> None:
        for workflow in self._ids:
            try:
                await verb(workflow)
            except BatonError:
                continue

    async def _look(self) -> None:
        found = await self.ring.violations()
        # Verbs may well bring a step to its end in spite of what it depends on.
        self.faults += [fault for fault in found if "in spite of" not in fault]

    # What engines do

    async def _claim(self, *_: object) -> None:
        """What has nothing left to wait for runs; of all else the gate is asked."""
        for job in await self.ring.claim(self.chance.randint(1, 3)):
            assert job.node is not None
            name = job.node.name
            if job.node.state is None and not job.node.pending:
                await self._run(job, f"{name} was claimed as ready")
                continue
            outcome = await Performer(self.ring.right, EngineSettings()).perform(job)
            self.history.append(f"the gate of {name}: {outcome.state}")
            if outcome.state is JobState.COMPLETED and job.node.state is None:
                await self._run(job, f"its gate had {name} run")
            else:
                self._gated[job.id] = Gated(job, outcome)

    async def _run(self, job: ClaimedJob, told: str) -> None:
        verdict = await gate(self.ring.monitor, job.id)
        if verdict != RUN:
            self.faults.append(f"{told}, and is to be: {verdict}")
        self._running[job.id] = job

    async def _gates(self, *_: object) -> None:
        gated, self._gated = self._gated, {}
        for job, outcome in gated.values():
            assert job.node is not None
            self.history.append(f"what its gate says of {job.node.name} is written")
            write = hold if outcome.state is JobState.SUSPENDED else settle_failures
            await write(self.ring.right, [outcome], notify=False)

    async def _end(self, *_: object, how: str = "") -> None:
        """A running step comes to its end, or its engine does."""
        if not self._running:
            return
        job = self._running.pop(self.chance.choice(list(self._running)))
        how = how or self.chance.choice(ENDINGS)
        assert job.node is not None
        self.history.append(f"{job.node.name} ends: {how}")
        right = self.ring.right
        if how.isdigit():
            await settle(right, self.ring.done(job.id, value=int(how)))
        elif how == "given back":
            back = self.ring.ended(job.id, JobState.AVAILABLE, attempt_change=-1)
            await requeue_jobs(right, [back], notify=False)
        else:
            skips = how == "skipped"
            state = JobState.CANCELLED if skips else JobState(how)
            ended = self.ring.ended(job.id, state, error="x", skipped=skips)
            await settle_failures(right, [ended], notify=False)

    # What people do

    async def _event(self, workflow: UUID, _: str) -> None:
        await send_event(workflow, "e", 1, conn=self.ring.monitor)

    async def _retry(self, workflow: UUID, _: str) -> None:
        await self._begin_anew(workflow, self.chance.choice(MODES), None)

    async def _retry_step(self, workflow: UUID, step: str) -> None:
        await self._begin_anew(workflow, "failed", [step])

    async def _begin_anew(self, workflow: UUID, mode: str, steps: list[str] | None) -> None:
        interrupt = self.chance.random() < 0.7
        options = asked(mode, steps, None, keep_memos=False, interrupt=interrupt)
        await retry_workflow(self.ring.right, workflow, options, TOLD, notify=False)

    async def _complete(self, workflow: UUID, step: str) -> None:
        result = f'{{"value": {self.chance.randint(1, 2)}}}'
        await complete_step(self.ring.right, workflow, step, result, TOLD, notify=False)

    async def _cancel(self, workflow: UUID, step: str) -> None:
        await cancel_step(self.ring.right, workflow, step, "x", notify=False)

    async def _pause(self, workflow: UUID, _: str) -> None:
        await pause_workflow(self.ring.right, workflow, TOLD, notify=False)

    async def _resume(self, workflow: UUID, _: str) -> None:
        await resume_workflow(self.ring.right, workflow, TOLD, notify=False)

    async def _fork(self, workflow: UUID, step: str) -> None:
        if len(self._ids) < 3:
            fork = Fork((step,) if self.chance.random() < 0.8 else None)
            new = uuid4()
            await fork_workflow(self.ring.right, workflow, new, fork, TOLD, notify=False)
            self._ids.append(new)

    # What others do behind its back

    async def _move(self, workflow: UUID, step: str) -> None:
        await self.ring.monitor.execute(
            "UPDATE baton.oban_jobs j SET state = 'available' FROM baton.workflow_nodes n"
            " WHERE n.job_id = j.id AND n.workflow_id = $1 AND n.name = $2"
            " AND j.state = 'suspended' AND n.state IS NULL",
            workflow,
            step,
        )

    async def _delete(self, workflow: UUID, step: str) -> None:
        await self.ring.monitor.execute(
            "DELETE FROM baton.oban_jobs j USING baton.workflow_nodes n"
            " WHERE n.job_id = j.id AND n.workflow_id = $1 AND n.name = $2 AND n.state IS NULL",
            workflow,
            step,
        )
        await self._sweeper.settle(self.ring.right, EngineSettings())


async def faults(ring: Arena, number: int, kind: str) -> list[str]:
    """What went wrong in a play, after what was done in it; empty when all is well."""
    play = Play(ring, number, kind)
    await play.play()
    await ring.monitor.execute(CLEAR)
    return [*play.history, *play.faults] if play.faults else []
