"""What stands in a connection string reaches the server, or is refused before anything connects."""

from __future__ import annotations

import asyncpg
import pytest

from baton import Baton, Database, Engine, Plugin, schema
from baton.errors import InvalidOptionError, UnavailableError
from support.inserting import Connection
from support.running import fast

CLIENT_SIDE = (
    "connect_timeout=10&keepalives=1&gssencmode=disable&channel_binding=prefer&schema=public"
    "&fallback_application_name=web&connection_limit=5&load_balance_hosts=random"
)


async def test_client_side_parameters_keep_nothing_from_connecting(
    dsn: str, db: Connection
) -> None:
    given = f"{dsn}&{CLIENT_SIDE}&work_mem=7MB&app.tenant=blue"
    async with fast(given, queues={}, plugins=[Plugin()]) as engine:
        await Baton().wait("gate", any_of=["x"]).insert(engine=engine)
        async with engine.database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT current_setting('work_mem'), current_setting('app.tenant'),"
                " current_setting('application_name'), current_setting('idle_session_timeout')"
            )
            assert tuple(row or ()) == ("7MB", "blue", "baton:default", "0")
    assert (await schema.verify(given)).ok
    assert await schema.migrate(given) == []


@pytest.mark.parametrize("query", ["chanel_binding=require", "require_auth=md5"])
async def test_an_unknown_parameter_is_refused_before_connecting(
    dsn: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object, **__: object) -> None:
        raise AssertionError("it connected")

    monkeypatch.setattr(asyncpg, "connect", connect)
    given = f"{dsn}&{query}"
    for make in (Engine, Database):
        with pytest.raises(InvalidOptionError, match=query.partition("=")[0]):
            make(given)
    for call in (schema.migrate, schema.verify, schema.current_version, Plugin().run):
        with pytest.raises(InvalidOptionError, match=query.partition("=")[0]):
            await call(given)


async def test_a_setting_that_the_server_refuses_is_told_as_refused(
    dsn: str, db: Connection
) -> None:
    major = db.get_server_version().major
    unknown = "force_parallel_mode" if major > 15 else "io_combine_limit"
    for query in ("work_mem=plenty", f"{unknown}=1"):
        with pytest.raises(UnavailableError) as caught:
            await Database(f"{dsn}&{query}").open()
        assert caught.value.refused, caught.value
        assert "refused a setting of the connection" in str(caught.value)
        assert "did not answer" not in str(caught.value)


async def test_what_the_driver_cannot_use_is_an_option_of_ours(dsn: str) -> None:
    with pytest.raises(InvalidOptionError, match="sslmode"):
        await Database(f"{dsn}&sslmode=sometimes").open()
    with pytest.raises(InvalidOptionError, match="target_session_attrs"):
        await schema.verify(f"{dsn}&target_session_attrs=any-of-them")


async def test_idle_sessions_of_ours_are_not_ended_by_a_bound_of_the_role(
    dsn: str, db: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    name = await db.fetchval("SELECT current_database()")
    await db.execute(f"ALTER DATABASE \"{name}\" SET idle_session_timeout = '50ms'")
    async with fast(dsn) as engine:
        async with engine.database.connection() as connection:
            pid = connection.get_server_pid()
        # Another session of the same role is ended meanwhile.
        other = await asyncpg.connect(dsn)
        while not other.is_closed():
            await db.execute("SELECT pg_sleep(0.02)")
        listening = await db.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND"
            " (pid = $2 OR application_name IN ('baton-listener', 'baton-heartbeat'))",
            name,
            pid,
        )
        assert listening == 3
    assert "trying again" not in caplog.text
