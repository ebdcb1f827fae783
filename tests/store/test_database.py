"""What users see of a database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from baton import Baton, Database, Engine, Plugin, insert_all, schema
from baton.errors import InvalidArgumentError, UnavailableError
from baton.insights import Insights

PASSWORD = "w0rd"


async def test_it_is_open_inside_async_with(dsn: str) -> None:
    database = Database(dsn, application_name="looking")
    with pytest.raises(UnavailableError):
        async with database.connection():
            pass
    async with database as entered:
        assert (entered, database.state) == (database, "open")
        async with database.connection() as connection:
            assert await connection.fetchval("SHOW application_name") == "looking"
        workflow = Baton().wait("gate", any_of=["yes"])
        async with database.transaction() as connection:
            await insert_all([workflow], conn=connection)
        assert (await Insights(database).workflow(workflow.workflow_id)).workflow.state == "running"
        await schema.require(database)
        await Plugin().sweep(database)
    assert database.state == "closed"


async def test_it_is_closed_when_the_body_fails(dsn: str) -> None:
    database = Database(dsn)
    with pytest.raises(ZeroDivisionError):
        async with database:
            raise ZeroDivisionError
    assert database.state == "closed"


async def test_a_transaction_that_fails_is_undone(dsn: str) -> None:
    async with Database(dsn) as database:
        workflow = Baton().wait("gate", any_of=["yes"])

        async def fails() -> None:
            async with database.transaction() as connection:
                await insert_all([workflow], conn=connection)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fails()
        assert (await Insights(database).workflows()).rows == ()


async def test_a_terminated_session_is_told_in_the_words_of_the_server(dsn: str) -> None:
    """And not in those of the pool, which has let go of the connection by then."""
    async with Database(dsn) as database:
        with pytest.raises(UnavailableError, match="terminating connection") as caught:
            async with database.transaction() as connection:
                await connection.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
        assert caught.value.in_doubt


async def test_the_database_of_an_engine_says_what_the_engine_was_given(dsn: str) -> None:
    engine = Engine(dsn, oban_schema="baton", name="looked_at")
    database = engine.database
    assert (database.state, repr(database)) == ("new", "<Database schema='baton' new>")
    async with engine:
        assert engine.database is database
        assert (database.state, database.dsn) == ("open", dsn)
        assert (database.schema, database.oban_schema) == ("baton", "baton")
        assert database.application_name == "baton:looked_at"
        async with database.transaction() as connection:
            assert await connection.fetchval("SELECT 1") == 1
    assert database.state == "closed"


CALLS: dict[str, Callable[[Any], Any]] = {
    "Insights": Insights,
    "require": schema.require,
    "Plugin.sweep": lambda given: Plugin().sweep(given),
    "Plugin.run": lambda given: Plugin().run(given),
}


TEXT = f"postgresql://me:{PASSWORD}@/"
REFUSED = [
    (call, given)
    for call in CALLS
    for given in (Engine("postgresql://"), None, TEXT)
    # The one that takes a connection string as well.
    if (call, given) != ("Plugin.run", TEXT)
]


@pytest.mark.parametrize(("call", "given"), REFUSED)
async def test_what_is_no_database_is_refused(call: str, given: object) -> None:
    with pytest.raises(InvalidArgumentError, match="expected a Database") as caught:
        await cast(Awaitable[object], CALLS[call](given))
    assert caught.value.argument == "database"
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(caught.value.given)
