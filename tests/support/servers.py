"""The server that the tests run on."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic

import asyncpg
import docker
from docker.errors import DockerException
from requests.exceptions import RequestException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from baton.testing import embedded_postgres
from support.databases import execute, run_apart
from support.waiting import eventually

DSN_VARIABLE = "BATON_TEST_DSN"
IMAGE = "postgres:18-alpine"
PING_SECONDS = 2
PULL_SECONDS = 20
PASSWORD = "baton"

# A killed server keeps what it committed; only a crash of the whole machine would not.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
}


@contextmanager
def running_server() -> Iterator[str]:
    """DSN of a role that may create databases: the one that BATON_TEST_DSN names, else a container
    where a Docker engine answers and has the images or gets them soon, else the embedded server.
    """
    with ExitStack() as stack:
        if given := os.environ.get(DSN_VARIABLE):
            yield given
        elif docker_can_serve():
            yield stack.enter_context(_container())
        else:
            yield stack.enter_context(embedded_postgres(settings=SETTINGS))


def docker_can_serve() -> bool:
    client = _docker_client()
    if client is None:
        return False
    try:
        client.ping()
        needed = (IMAGE, testcontainers_config.ryuk_image)
        return all(client.images.list(image) or _pulled(image) for image in needed)
    except (DockerException, RequestException):
        return False
    finally:
        client.close()


def _docker_client() -> docker.DockerClient | None:
    with suppress(DockerException):
        return docker.from_env(timeout=PING_SECONDS)
    # The library leaves a socket open when nobody answers; its collection warns.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return None


def _pulled(image: str) -> bool:
    deadline = monotonic() + PULL_SECONDS
    client = docker.from_env(timeout=PULL_SECONDS)
    try:
        for _ in client.api.pull(image, stream=True):
            if monotonic() > deadline:
                return False
        return bool(client.images.list(image))
    finally:
        client.close()


@contextmanager
def _container() -> Iterator[str]:
    container = (
        DockerContainer(IMAGE)
        .with_env("POSTGRES_PASSWORD", PASSWORD)
        .with_command([word for item in SETTINGS.items() for word in ("-c", "=".join(item))])
        .with_exposed_ports(5432)
    )
    with container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        dsn = f"postgresql://postgres:{PASSWORD}@{host}:{port}/postgres"
        run_apart(eventually(lambda: _accepts(dsn)))
        yield dsn


async def _accepts(dsn: str) -> bool:
    try:
        await execute(dsn, "SELECT 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True
