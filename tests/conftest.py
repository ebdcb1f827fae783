from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from hypothesis import settings

from baton import schema
from support.databases import create_database, drop_database, run_apart
from support.inserting import Client, Connection, opened_client, session
from support.otel import Telemetry, instrumented
from support.servers import running_server

# A busy machine is no reason to fail, and a failure prints what reproduces it.
settings.register_profile("baton", deadline=None, print_blob=True)
settings.load_profile("baton")

# Shells begin jobs in the background with SIGINT ignored, and so would all programs of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("asyncio") and isinstance(item, pytest.Function):
            item.fixturenames.insert(0, "quiet_loop")


def pytest_collection_finish() -> None:
    # What the imports left behind need not be looked at again by the collection after each test.
    gc.collect()
    gc.freeze()


@pytest.fixture
async def quiet_loop() -> AsyncIterator[None]:
    """Fails a test in whose event loop something went wrong that nobody awaited."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    yield
    gc.collect()
    assert not faults, f"the event loop's exception handler was called: {faults}"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """DSN of a server on which databases may be created."""
    with running_server() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """Name of a database that was migrated once, to be cloned."""

    async def prepare() -> str:
        dsn = await create_database(server)
        await schema.migrate(dsn)
        return dsn

    dsn = run_apart(prepare())
    yield dsn.partition("?")[0].rpartition("/")[2]
    run_apart(drop_database(server, dsn))


@pytest.fixture
async def dsn(server: str, template: str) -> AsyncIterator[str]:
    """DSN of a migrated database of this test's own."""
    dsn = await create_database(server, template)
    yield dsn
    await drop_database(server, dsn)


@pytest.fixture
async def empty_dsn(server: str) -> AsyncIterator[str]:
    """DSN of an empty database of this test's own."""
    dsn = await create_database(server)
    yield dsn
    await drop_database(server, dsn)


@pytest.fixture
async def connection(empty_dsn: str) -> AsyncIterator[Connection]:
    """A session on an empty database, on whose search path Baton's schema will stand."""
    connection = await asyncpg.connect(empty_dsn, server_settings={"search_path": "baton, public"})
    yield connection
    await connection.close()


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Connection]:
    """A caller's own connection."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Connection]:
    """A second session, to look from outside."""
    async with session(dsn) as connection:
        yield connection


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[Client]:
    """An engine as insertion sees it, ambient."""
    async with opened_client(dsn) as client:
        yield client


@pytest.fixture
def otel() -> Iterator[Telemetry]:
    """What a real SDK gets while a test runs."""
    with instrumented() as made:
        yield made
