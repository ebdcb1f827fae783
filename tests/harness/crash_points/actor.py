"""Who acts in a scenario: an engine in this process, or in one of its own that can be killed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from baton import Baton, Engine, Plugin, insert_all, schema, send_event
from baton.engine import EngineOptions
from baton.errors import BulkStoppedError, UnavailableError
from baton.runtime import runtime
from support.running import fast
from two_engines.truth import FileLedger
from two_engines.workers import Planned

FLUSH_TIMEOUT = 0.1
STOP_TIMEOUT = 20.0


class Actor(Protocol):
    """What is done in scenarios; every call may be made in another process."""

    async def pause(self, queue: str) -> None: ...
    async def resume(self, queue: str) -> None: ...
    async def stop(self) -> None: ...
    async def cancel(self, workflow_id: UUID) -> None: ...
    async def cancel_wait(self, workflow_id: UUID, step: str) -> None: ...
    async def act(self, workflow_id: UUID, verb: str, *args: object) -> object: ...
    async def retry(self, workflow_id: UUID, options: Mapping[str, Any]) -> None: ...
    async def fork(self, workflow_id: UUID, from_steps: Sequence[str]) -> UUID: ...
    async def retry_all(self, state: str) -> None: ...
    async def resume_bulk(self, bulk_id: UUID) -> None: ...
    async def insert(self, workflows: Sequence[Baton]) -> None: ...
    async def send(
        self, workflow_id: UUID | None, name: str, event_id: str, key: str | None
    ) -> str: ...
    async def sweep(self, options: Mapping[str, Any]) -> None: ...
    async def migrate(self, name: str) -> None: ...


class Here:
    """An engine of this process, which runs."""

    def __init__(self, dsn: str, engine: Engine) -> None:
        self._dsn = dsn
        self._engine = engine

    async def pause(self, queue: str) -> None:
        self._engine.queue(queue).pause()

    async def resume(self, queue: str) -> None:
        self._engine.queue(queue).resume()

    async def stop(self) -> None:
        await self._engine.stop()

    async def cancel(self, workflow_id: UUID) -> None:
        await self._engine.workflow(workflow_id).cancel()

    async def cancel_wait(self, workflow_id: UUID, step: str) -> None:
        await self._engine.workflow(workflow_id).cancel_wait(step)

    async def act(self, workflow_id: UUID, verb: str, *args: object) -> object:
        """What a workflow's handle does, by the name of its method."""
        return await getattr(self._engine.workflow(workflow_id), verb)(*args)

    async def retry(self, workflow_id: UUID, options: Mapping[str, Any]) -> None:
        await self._engine.workflow(workflow_id).retry(**options)

    async def fork(self, workflow_id: UUID, from_steps: Sequence[str]) -> UUID:
        fork = await self._engine.workflow(workflow_id).fork(from_steps)
        return fork.workflow_id

    async def retry_all(self, state: str) -> None:
        with _lost():
            await self._engine.workflows(state=state).retry()

    async def resume_bulk(self, bulk_id: UUID) -> None:
        with _lost():
            await self._engine.resume_bulk(bulk_id)

    async def insert(self, workflows: Sequence[Baton]) -> None:
        await insert_all(workflows, engine=self._engine)

    async def send(
        self, workflow_id: UUID | None, name: str, event_id: str, key: str | None
    ) -> str:
        return await send_event(
            workflow_id,
            name,
            {"id": event_id},
            correlation_key=key,
            dedupe_id=event_id,
            engine=self._engine,
        )

    async def sweep(self, options: Mapping[str, Any]) -> None:
        await Plugin(**options).sweep(self._engine.database)

    async def migrate(self, name: str) -> None:
        await schema.migrate(self._dsn, schema=name)


@contextmanager
def _lost() -> Iterator[None]:
    """What stops on its way because the database is away says so, as every other call does."""
    try:
        yield
    except BulkStoppedError as error:
        if isinstance(error.__cause__, UnavailableError):
            raise error.__cause__ from None
        raise


class There:
    """The same in another process: every call goes through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __getattr__(self, name: str) -> Any:
        async def call(*args: object) -> Any:
            self._pipe.send((name, args))
            return await self.answered()

        return call

    async def answered(self) -> Any:
        """The next answer. Raises what was raised there, or EOFError when the process died."""
        async with _readable(self._pipe.fileno()):
            raised, answer = self._pipe.recv()
        if raised:
            raise answer
        return answer


@asynccontextmanager
async def here(dsn: str, **options: Any) -> AsyncIterator[Actor]:
    async with fast(dsn, **options) as engine:
        yield Here(dsn, engine)


class Apart:
    """A process that acts; it can be killed at any time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["baton", "pytest", __name__])
        self._process: Any = None
        self._ending = asyncio.Lock()

    @asynccontextmanager
    async def act(self, dsn: str, **options: Any) -> AsyncIterator[Actor]:
        ours, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_serve, args=(theirs, self._folder, dsn, options), daemon=True
        )
        try:
            await asyncio.to_thread(self._process.start)
            theirs.close()
            actor = There(ours)
            await actor.answered()
            yield actor
            ours.send(None)
            async with asyncio.timeout(STOP_TIMEOUT):
                await actor.answered()
        finally:
            ours.close()
            await self.kill()

    async def kill(self) -> None:
        """By SIGKILL; returns when it is dead."""
        if self._process is not None:
            self._process.kill()
            async with self._ending, _readable(self._process.sentinel):
                self._process.join()


@asynccontextmanager
async def _readable(file: int) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(file, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(file)
    yield


def _serve(pipe: Connection, folder: Path, dsn: str, options: EngineOptions) -> None:
    logging.disable(logging.CRITICAL)
    runtime.FLUSH_TIMEOUT = FLUSH_TIMEOUT
    Planned.ledger = FileLedger(folder)
    with suppress(EOFError, BrokenPipeError):
        asyncio.run(_act(pipe, dsn, options))


async def _act(pipe: Connection, dsn: str, options: EngineOptions) -> None:
    async with here(dsn, **options) as actor:
        pipe.send((False, None))
        while True:
            async with _readable(pipe.fileno()):
                asked = pipe.recv()
            if asked is None:
                break
            name, args = asked
            try:
                answer = (False, await getattr(actor, name)(*args))
            except Exception as error:
                answer = (True, error)
            pipe.send(answer)
    pipe.send((False, None))
