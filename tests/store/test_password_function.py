"""A password that a function makes for each connection, such as a token of a cloud provider."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from baton import Baton, Database, Engine, Plugin, Step, schema, worker
from baton.cli.target import overridden
from baton.errors import InvalidOptionError, UnavailableError
from baton.store.store import store_of
from support.databases import execute, run_apart
from support.guarding import guarded_server
from support.running import fast, running
from support.waiting import eventually


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The DSN, without a password, of a role that needs one."""
    with guarded_server() as dsn:
        run_apart(schema.migrate(dsn))
        run_apart(execute(dsn, "CREATE ROLE app SUPERUSER LOGIN PASSWORD 'first'"))
        yield dsn.replace("postgres@", "app@")


@worker(name="password.works")
async def works(step: Step) -> str:
    return "done"


class Tokens:
    """Makes the password, and counts."""

    def __init__(self) -> None:
        self.password = "first"
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        return self.password

    async def later(self) -> str:
        await asyncio.sleep(0)
        return self()


@pytest.mark.parametrize("form", ["sync", "async"])
async def test_everything_that_connects_asks_for_it(guarded: str, form: str) -> None:
    tokens = Tokens()
    password: Any = tokens if form == "sync" else tokens.later
    assert (await schema.verify(guarded, password=password)).ok
    assert await schema.migrate(guarded, password=password) == []
    assert await schema.rollback(guarded, to=schema.latest_version(), password=password) == []
    assert await schema.current_version(guarded, password=password)
    assert tokens.made == 4
    database = Database(guarded, password=password)
    await database.open()
    await database.close()
    sweeping = asyncio.create_task(Plugin(interval=0.05).run(guarded, password=password))
    async with fast(guarded, password=password, plugins=[Plugin(interval=0.05)]) as engine:
        before = tokens.made
        # Pool, settler, heartbeat (in a thread of its own), listener.
        workflow = Baton().add("a", works.new())
        await workflow.insert(engine=engine)
        assert (await engine.workflow(workflow.workflow_id).completion()).outcome == "completed"

        async def swept() -> bool:
            return tokens.made > before + 2

        await eventually(swept)
    assert not sweeping.done()
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    with pytest.raises(UnavailableError, match=r"refused the login|password"):
        await Database(guarded).open()


async def test_a_rotated_password_is_asked_for_anew(guarded: str) -> None:
    admin = guarded.replace("app@", "postgres@")
    tokens = Tokens()
    try:
        async with fast(guarded, password=tokens, queues={}) as engine:
            await execute(
                admin,
                "ALTER ROLE app PASSWORD 'second'",
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE usename = 'app'",
            )
            tokens.password = "second"

            async def works_again() -> bool:
                (found,) = await asyncio.gather(
                    store_of(engine).fetch("count_queues"), return_exceptions=True
                )
                return isinstance(found, list)

            await eventually(works_again)
    finally:
        await execute(admin, "ALTER ROLE app PASSWORD 'first'")


async def test_a_function_that_fails_is_an_unavailable_database(guarded: str) -> None:
    secret = "t0ken"
    boom = RuntimeError(f"expired: {secret}")

    def fails() -> str:
        raise boom

    for call in (
        Database(guarded, password=fails).open,
        Engine(guarded, password=fails).run,
        lambda: schema.verify(guarded, password=fails),
        lambda: Plugin().run(guarded, password=fails),
    ):
        with pytest.raises(UnavailableError, match=r"function failed \(RuntimeError\)") as caught:
            await call()
        assert caught.value.__cause__ is boom
        assert secret not in str(caught.value)


async def test_a_function_that_fails_later_costs_no_attempt(
    guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens()
    workflow = Baton().add("a", works.new())
    async with running(guarded.replace("app@", "postgres@")) as run:
        async with fast(guarded, password=tokens, queues={}) as engine:
            await workflow.insert(engine=engine)
            pool = store_of(engine)._pool
            assert pool is not None
            await pool.expire_connections()
            monkeypatch.setattr(tokens, "later", None)
            tokens.password = None  # type: ignore[assignment]
            with pytest.raises(InvalidOptionError, match="returns a text"):
                await engine.workflow(workflow.workflow_id).result("a")
        await run.end(workflow)


def test_what_is_no_function_is_refused_and_not_shown() -> None:
    for make in (Engine, Database):
        with pytest.raises(InvalidOptionError, match="belongs in the DSN") as caught:
            make("postgresql://u@h/x", password="s3cret")  # type: ignore[arg-type]
        assert "s3cret" not in str(caught.value) + repr(vars(caught.value))
        with pytest.raises(InvalidOptionError, match="out of the DSN"):
            make("postgresql://u:p@h/x", password=lambda: "s3cret")


def test_a_command_keeps_the_function_unless_its_dsn_has_a_password() -> None:
    tokens = Tokens()
    engine = Engine("postgresql://u@h/x", password=tokens, pooled=True)
    kept = overridden(engine, "postgresql://u@other/x", None, None)
    assert store_of(kept).connector.password is tokens
    assert store_of(kept).connector.pooled
    own = overridden(engine, "postgresql://u:p@other/x", None, None)
    assert store_of(own).connector.password is None
