"""A connection string with several hosts: one that hangs is left like one that refuses."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from baton import Baton, Database, Step, schema, worker
from baton.errors import UnavailableError
from baton.store.connecting import Connector
from baton.store.store import store_of
from support.door import door
from support.running import fast
from support.waiting import DEADLINE, eventually


@worker(name="hosts.works")
async def works(step: Step) -> str:
    return "done"


class Silent:
    """A host that accepts connections and never answers, as a frozen server's does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tried = 0


@asynccontextmanager
async def silent_host() -> AsyncIterator[Silent]:
    with tempfile.TemporaryDirectory(prefix="baton-", dir="/tmp") as folder:
        silent = Silent(Path(folder))

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            silent.tried += 1
            writers.append(writer)

        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_unix_server(accept, f"{folder}/.s.PGSQL.5432")
        try:
            yield silent
        finally:
            server.close()
            for writer in writers:
                writer.close()


def of_hosts(dsn: str, *folders: object) -> str:
    """The DSN with these socket folders as its hosts."""
    parts = urlsplit(dsn)
    netloc = f"{parts.username}@"
    hosts = ",".join(map(str, folders))
    return urlunsplit(parts._replace(netloc=netloc, query=f"host={hosts}"))


@asynccontextmanager
async def reachable(dsn: str) -> AsyncIterator[str]:
    """A socket's folder behind which the server of this DSN is, whatever its own address is."""
    async with door(dsn) as made:
        yield str(made.path.parent)


async def test_a_host_that_hangs_is_left_within_its_share(dsn: str) -> None:
    async with silent_host() as silent, reachable(dsn) as folder:
        several = of_hosts(dsn, silent.folder, folder)
        async with fast(several, acquire_timeout=4.0, command_timeout=4.0) as engine:
            tried = silent.tried
            assert tried
            workflow = Baton().add("a", works.new())
            await workflow.insert(engine=engine)
            end = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
            assert end.outcome == "completed"
            for _ in range(5):
                await (await store_of(engine).connector.connect(timeout=DEADLINE)).close()
            # The host that worked comes first.
            assert silent.tried == tried
        assert (await schema.verify(several)).ok


async def test_a_caller_that_gives_up_leaves_the_hanging_host(dsn: str) -> None:
    """A wait for a free connection may end before the share of the first host does."""
    async with silent_host() as silent, reachable(dsn) as folder:
        connector = Connector(of_hosts(dsn, silent.folder, folder))
        given_up = asyncio.create_task(connector.connect(timeout=600.0))

        async def hangs() -> bool:
            return silent.tried == 1

        await eventually(hangs)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        async with asyncio.timeout(DEADLINE):
            await (await connector.connect(timeout=600.0)).close()
        assert silent.tried == 1


async def test_a_bound_for_each_host_may_be_given(dsn: str) -> None:
    async with silent_host() as silent, reachable(dsn) as folder:
        bound = "&connect_timeout=0.1"
        async with asyncio.timeout(DEADLINE):
            connector = Connector(of_hosts(dsn, silent.folder, folder) + bound)
            await (await eventually_connected(connector)).close()
            assert silent.tried
            alone = Connector(of_hosts(dsn, silent.folder) + bound)
            with pytest.raises(TimeoutError):
                await alone.connect(timeout=600.0)


async def eventually_connected(connector: Connector) -> Any:
    """A connection, although a busy machine may not answer within a host's bound."""
    while True:
        with suppress(TimeoutError):
            return await connector.connect(timeout=600.0)


async def test_all_hosts_that_hang_take_the_time_there_is(dsn: str) -> None:
    async with silent_host() as one, silent_host() as two:
        database = Database(of_hosts(dsn, one.folder, two.folder), acquire_timeout=0.5)
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(UnavailableError):
                await database.open()
        assert one.tried == 1


@pytest.mark.parametrize("wanted", ["standby", "read-only"])
async def test_hosts_are_chosen_by_what_they_are(dsn: str, wanted: str) -> None:
    async with reachable(dsn) as folder:
        several = of_hosts(dsn, "/nowhere", folder)
        connector = Connector(f"{several}&target_session_attrs=primary")
        await (await connector.connect(timeout=DEADLINE)).close()
        with pytest.raises(UnavailableError):
            await Database(f"{several}&target_session_attrs={wanted}", acquire_timeout=0.5).open()
        # None is a standby, so any will do.
        connector = Connector(f"{several}&target_session_attrs=prefer-standby")
        await (await connector.connect(timeout=DEADLINE)).close()


async def test_an_engine_moves_when_its_host_freezes(dsn: str) -> None:
    """The first host answers no more, on any connection, old or new."""
    async with door(dsn) as first, door(dsn) as second:
        several = of_hosts(dsn, first.path.parent, second.path.parent)
        async with fast(
            several,
            command_timeout=1.0,
            acquire_timeout=1.0,
            heartbeat_interval=0.2,
            poll_interval=0.1,
        ) as engine:
            await Baton().wait("gate", any_of=["x"]).insert(engine=engine)
            first.freeze()

            async def inserts() -> bool:
                try:
                    await Baton().wait("gate", any_of=["x"]).insert(engine=engine)
                except UnavailableError:
                    return False
                return True

            await eventually(inserts)
            workflow = Baton().add("a", works.new())
            await workflow.insert(engine=engine)
            end = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
            assert end.outcome == "completed"
