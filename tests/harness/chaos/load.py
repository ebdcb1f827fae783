"""The application: inserts workflows, sends what they wait for, cancels some, has people act on
others, and waits for the end of each.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from baton import Baton, Engine, Job, insert_all, send_event
from baton.errors import WorkflowExistsError, WorkflowFinishedError
from chaos.verbs import People, without_keys
from chaos.waits import Sending, sendings, with_waits
from support.door import Door
from support.running import fast
from support.waiting import answering, eventually, moment
from two_engines.graphs import Expected, Graph, graph
from two_engines.truth import FileLedger

T = TypeVar("T")

BATCH = 5
STEPS = 12
SECONDS = 0.15
CANCELLED = 0.15
ACTED_ON = 0.2
"""Of the batches, those that people act on."""
SENDERS = 3
TWICE = 0.2
"""How many events are sent by two senders at once."""
AWAY = 120.0
PAUSE = 0.1


class Application:
    """Made by `application`. Whatever a call raises, it makes the call again."""

    def __init__(
        self,
        dsn: str,
        engines: Sequence[Engine],
        ledger: FileLedger,
        chance: random.Random,
        most_open: int,
        acted_on: float,
    ) -> None:
        self._dsn = dsn
        self._engine = engines[0]
        self._senders = engines
        self._ledger = ledger
        self._chance = chance
        self._most_open = most_open
        self._acted_on = acted_on
        self.people = People(engines[0], dsn, chance, self._surely)
        self.touched: set[UUID] = set()
        """The workflows that people act on, and what they have forked of these."""
        self._waiting: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self.expected: dict[UUID, Expected] = {}
        self.ended: Counter[UUID] = Counter()
        self.raised: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.broken: list[str] = []
        """What ended tasks of the application itself: nothing may."""
        self._enough = False

    @property
    def open(self) -> int:
        return len(self.expected) + len(self.touched) - len(self.ended)

    def enough(self) -> None:
        """Begin nothing more."""
        self._enough = True
        self._room.set()

    async def work(self) -> None:
        """Insert until `enough`, as fast as what was inserted ends."""
        while not self._enough:
            if self.open < self._most_open:
                touched = self._chance.random() < self._acted_on
                await (self._insert_for_people() if touched else self._insert())
            else:
                self._room.clear()
                await self._room.wait()

    async def _insert(self) -> None:
        shared = str(uuid4())
        graphs: dict[UUID, Graph] = {}
        workflows: list[Baton] = []
        for _ in range(BATCH):
            shape = with_waits(self._chance, graph(self._chance, STEPS), shared)
            workflow = shape.workflow(SECONDS * self._chance.random())
            workflows.append(workflow)
            graphs[workflow.workflow_id] = shape
        # From here on they may be in the tables, whatever the call says.
        self.expected.update((i, Expected(i, shape)) for i, shape in graphs.items())
        jobs = await self._surely("insert", lambda: self._inserted(workflows))
        self._send_all(graphs)
        for workflow_id in graphs:
            self._begin(self._await_end(workflow_id))
            if self._chance.random() < CANCELLED:
                own = [job.id for job in jobs if job.workflow_id == workflow_id]
                self._begin(self._cancel(workflow_id, self._chance.choice(own) if own else None))

    async def _insert_for_people(self) -> None:
        shapes = [graph(self._chance, STEPS) for _ in range(BATCH)]
        shapes = [without_keys(with_waits(self._chance, one, "")) for one in shapes]
        seconds = SECONDS * self._chance.random()
        workflows = [self.people.workflow(one, seconds) for one in shapes]
        graphs = dict(zip((one.workflow_id for one in workflows), shapes, strict=True))
        self.touched.update(graphs)
        await self._surely("insert", lambda: self._inserted(workflows))
        self._send_all(graphs)
        for workflow_id, shape in graphs.items():
            self._begin(self._acted_on_until_its_end(workflow_id, shape))

    async def _acted_on_until_its_end(self, workflow_id: UUID, shape: Graph) -> None:
        await self.people.act(workflow_id, shape)
        self.ended[workflow_id] += 1
        self._room.set()

    def _send_all(self, graphs: Mapping[UUID, Graph]) -> None:
        for sending in sendings(self._chance, graphs):
            chosen = self._chance.sample(self._senders, 1 + (self._chance.random() < TWICE))
            for sender in chosen:
                self._begin(self._send(sender, sending))

    async def _inserted(self, workflows: Sequence[Baton]) -> Sequence[Job]:
        try:
            return await insert_all(workflows, engine=self._engine)
        except WorkflowExistsError:
            return ()

    async def _send(self, sender: Engine, sending: Sending) -> None:
        if sending.after:
            await moment(asyncio.get_running_loop().time() + sending.after)

        async def send() -> str | None:
            try:
                return await send_event(
                    sending.workflow_id,
                    sending.name,
                    {"id": sending.event_id},
                    correlation_key=sending.key,
                    dedupe_id=sending.event_id,
                    engine=sender,
                )
            except WorkflowFinishedError:
                return None

        answer = await self._surely("send", send)
        self.answers[answer or "finished"] += 1
        if answer is not None:
            self._ledger.sent(
                sending.event_id, sending.workflow_id, sending.key, sending.name, answer
            )

    async def _cancel(self, workflow_id: UUID, job_id: int | None) -> None:
        """Cancel a workflow when one of its steps has begun, if it does."""

        if job_id is not None:
            step = job_id

            async def look() -> bool:
                return bool(self.ended[workflow_id]) or self._ledger.has_begun(step)

            await eventually(look, float("inf"))
        self.expected[workflow_id] = replace(self.expected[workflow_id], cancelled=True)
        await self._surely("cancel", lambda: self._engine.workflow(workflow_id).cancel())

    async def _await_end(self, workflow_id: UUID) -> None:
        await self._surely("completion", lambda: self._engine.workflow(workflow_id).completion())
        self.ended[workflow_id] += 1
        self._room.set()

    async def _surely(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except Exception as error:
                self.raised[f"{what}: {type(error).__name__}"] += 1
                await answering(self._dsn, AWAY)
                # What the database refuses it refuses for some time.
                await moment(asyncio.get_running_loop().time() + PAUSE)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.broken.append(repr(error))

    async def all_ended(self, deadline: float) -> list[UUID]:
        """Wait until all that was begun has ended; the workflows that have not in time."""
        if self._waiting:
            _, late = await asyncio.wait(self._waiting, timeout=deadline)
            self.broken += [f"{task.get_coro()} does not end" for task in late]
        left = [i for i in (*self.expected, *self.touched) if not self.ended[i]]
        async with asyncio.timeout(deadline):
            forks = await self.people.end_forks(self.touched)
        self.touched.update(forks)
        self.ended.update(forks)
        return left

    async def stop(self) -> None:
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@asynccontextmanager
async def application(
    door: Door,
    dsn: str,
    folder: Path,
    chance: random.Random,
    most_open: int,
    acted_on: float = ACTED_ON,
) -> AsyncIterator[Application]:
    """Several clients behind a door."""
    async with AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(
                fast(
                    door.dsn,
                    name=f"sender-{number}",
                    queues={},
                    poll_interval=0.5,
                    command_timeout=5.0,
                    pool_size=5,
                )
            )
            for number in range(SENDERS)
        ]
        made = Application(dsn, engines, FileLedger(folder), chance, most_open, acted_on)
        try:
            yield made
        finally:
            await made.stop()
