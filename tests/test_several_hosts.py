"""A connection string with several hosts: one that hangs is left like one that refuses."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit, urlunsplit

import pytest

from baton import Baton, Database, Step, schema, worker
from baton.errors import UnavailableError
from baton.store.connecting import Connector
from support.door import door
from support.running import fast
from support.waiting import DEADLINE, eventually


@worker(name="hosts.works")
async def works(step: Step) -> str:
    return "done"


@contextmanager
def silent_host() -> Iterator[Path]:
    """The folder of a socket that accepts and never answers, as a frozen server's."""
    with tempfile.TemporaryDirectory(prefix="baton-", dir="/tmp") as folder:
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{folder}/.s.PGSQL.5432")
        server.listen(64)
        try:
            yield Path(folder)
        finally:
            server.close()


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
    with silent_host() as silent:
        async with reachable(dsn) as folder:
            several = of_hosts(dsn, silent, folder)
            begun = monotonic()
            async with fast(several, acquire_timeout=1.0, command_timeout=2.0) as engine:
                # The host that worked comes first: nothing hangs again.
                started = monotonic() - begun
                workflow = Baton().add("a", works.new())
                await workflow.insert(engine)
                end = await engine.completion(workflow.workflow_id, timeout=DEADLINE)
                assert end.outcome == "completed"
                begun = monotonic()
                for _ in range(5):
                    other = Database(several, acquire_timeout=1.0)
                    other.connector = engine.database.connector
                    await other.open()
                    await other.close()
                assert monotonic() - begun < 0.4 < started
            assert (await schema.verify(several)).ok


async def test_a_caller_that_gives_up_leaves_the_hanging_host(dsn: str) -> None:
    """A wait for a free connection may end before the share of the first host does."""
    with silent_host() as silent:
        async with reachable(dsn) as folder:
            connector = Connector(of_hosts(dsn, silent, folder))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connector.connect(timeout=60.0)
            begun = monotonic()
            connection = await connector.connect(timeout=60.0)
            assert monotonic() - begun < 20.0
            await connection.close()


async def test_a_bound_for_each_host_may_be_given(dsn: str) -> None:
    with silent_host() as silent:
        async with reachable(dsn) as folder:
            connector = Connector(of_hosts(dsn, silent, folder) + "&connect_timeout=0.05")
            begun = monotonic()
            await (await connector.connect(timeout=60.0)).close()
            assert monotonic() - begun < 20.0
            alone = Connector(of_hosts(dsn, silent) + "&connect_timeout=0.05")
            with pytest.raises(TimeoutError):
                await alone.connect(timeout=60.0)


async def test_all_hosts_that_hang_take_the_time_there_is(dsn: str) -> None:
    with silent_host() as one, silent_host() as two:
        database = Database(of_hosts(dsn, one, two), acquire_timeout=0.3)
        begun = monotonic()
        with pytest.raises(UnavailableError):
            await database.open()
        assert 0.25 < monotonic() - begun < 5.0


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
            await Baton().wait("gate", any_of=["x"]).insert(engine)
            first.freeze()

            async def inserts() -> bool:
                try:
                    await Baton().wait("gate", any_of=["x"]).insert(engine)
                except UnavailableError:
                    return False
                return True

            await eventually(inserts)
            workflow = Baton().add("a", works.new())
            await workflow.insert(engine)
            end = await engine.completion(workflow.workflow_id, timeout=DEADLINE)
            assert end.outcome == "completed"
