"""A login that works at the start and is refused later: the password changes, the role may no
longer log in, and the connections are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from baton import Baton, Step, schema, worker
from baton.errors import CompletionTimeoutError, UnavailableError
from baton.runtime import executor
from baton.store.store import store_of
from baton.words.events import StepExecuting
from support.databases import execute, run_apart
from support.guarding import guarded_server
from support.public_calls import CALLS, LOGS_ITS_FAILURES, opened_scene
from support.running import running
from support.waiting import eventually


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A server that wants passwords, of all but its superuser."""
    with guarded_server() as dsn:
        run_apart(schema.migrate(dsn))
        yield dsn


@asynccontextmanager
async def login(guarded: str) -> AsyncIterator[tuple[str, str]]:
    """A new superuser with a password: its name and its DSN."""
    name = f"app_{uuid4().hex}"
    await execute(guarded, f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD 'r1ght'")
    yield name, guarded.replace("postgres@", f"{name}:r1ght@")
    await execute(guarded, f"DROP ROLE {name}")


async def cut(guarded: str, name: str, change: str) -> None:
    """Change the role, and end all that is connected with it."""
    await execute(
        guarded,
        f"ALTER ROLE {name} {change}",
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{name}'",
    )


CHANGES = {"another password": "PASSWORD 'changed'", "no login": "NOLOGIN"}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_every_call_says_that_the_login_is_refused(guarded: str, change: str) -> None:
    wrong: dict[str, BaseException | None] = {}
    async with login(guarded) as (name, dsn), opened_scene(dsn) as scene:
        await cut(guarded, name, change)

        async def refused() -> bool:
            # Until then a pooled connection may not know that it was ended.
            (found,) = await asyncio.gather(
                store_of(scene.engine).fetch("count_queues"), return_exceptions=True
            )
            return isinstance(found, UnavailableError) and found.refused

        await eventually(refused)
        for call in CALLS.keys() - {"Plugin.sweep"}:
            (found,) = await asyncio.gather(CALLS[call](scene), return_exceptions=True)
            told = (
                found is None
                if call in LOGS_ITS_FAILURES
                else isinstance(found, UnavailableError) and found.refused
            )
            if call.endswith(".completion"):
                told = isinstance(found, CompletionTimeoutError)
            if not told:
                wrong[call] = found
        await execute(guarded, f"ALTER ROLE {name} LOGIN PASSWORD 'r1ght'")
    assert wrong == {}


_go: list[asyncio.Event] = []


@worker(name="login_later.given", max_attempts=1)
async def given(step: Step) -> str:
    return "kept"


@worker(name="login_later.reads", max_attempts=1)
async def reads(step: Step) -> str:
    await _go[0].wait()
    return await step.result("a", str)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_step_that_cannot_log_in_to_read_keeps_its_attempt(
    guarded: str,
    change: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was its only one."""
    monkeypatch.setattr(executor, "FAULT_DELAY", 0.05)
    _go[:] = [asyncio.Event()]
    workflow = Baton().add("a", given.new()).add("b", reads.new(), deps=["a"])
    async with login(guarded) as (name, dsn), running(dsn) as run:
        await run.insert(workflow)
        await run.events.until(StepExecuting, step="b")
        await execute(guarded, f"ALTER ROLE {name} {change}")
        assert await run.tables.value(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE application_name LIKE 'baton%'"
        )
        _go[0].set()

        async def goes_back() -> bool:
            return "goes back for later: the database refused the login" in caplog.text

        await eventually(goes_back)
        await execute(guarded, f"ALTER ROLE {name} LOGIN PASSWORD 'r1ght'")
        assert (await run.end(workflow)).outcome == "completed"
        row = await run.tables.step(workflow, "b")
        assert (row.result, row.attempt, row.errors) == ("kept", 1, [])
