"""Settings of an engine are checked when it is made, its schema when it starts."""

from __future__ import annotations

import math
import traceback
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import pytest

from baton import Database, Engine, EngineSettings, schema
from baton.errors import (
    BatonError,
    DatabaseError,
    EngineStateError,
    InvalidOptionError,
    SchemaMissingError,
    UnavailableError,
)
from support.running import fast, opened

DSN = "postgresql://nobody@localhost:1/nothing"

BAD: list[tuple[str, Any]] = [
    ("name", ""),
    ("name", 5),
    ("name", "x" * 128),
    ("name", "x\0user\0postgres"),
    ("name", "\ud800"),
    ("node", "a\0b"),
    ("node", "\udfff"),
    ("queues", {"a\0b": 1}),
    ("queues", {"\ud800": 1}),
    ("node", None),
    ("queues", ["default"]),
    ("queues", {"default": 0}),
    ("queues", {"default": True}),
    ("queues", {"default": 1.5}),
    ("queues", {"": 1}),
    ("queues", {5: 1}),
    ("poll_interval", 0),
    ("poll_interval", -1),
    ("poll_interval", math.nan),
    ("stage_interval", math.inf),
    ("stage_limit", 0),
    ("notify", 1),
    ("debug", 1),
    ("capture_limit", 0),
    ("heartbeat_interval", "5"),
    ("rescue_after", 14.9),
    ("rescue_interval", None),
    ("max_rescues", 1.0),
    ("foreign_rescue_after", 0),
    ("shutdown_grace", -0.1),
    ("interrupt_grace", math.nan),
    ("settlers", 0),
    ("settle_limit", -5),
    ("threads", True),
    ("pool_size", 0),
    ("transactions", 0),
    ("command_timeout", 10**10),
    ("acquire_timeout", 0),
    ("result_limit", 0.5),
]


@pytest.mark.parametrize(("option", "value"), BAD, ids=str)
def test_bad_settings_are_refused(option: str, value: Any) -> None:
    wrong: dict[str, Any] = {option: value}
    with pytest.raises(InvalidOptionError) as caught:
        Engine(DSN, **wrong)
    assert caught.value.option == option
    assert caught.value.given is value
    assert caught.value.expected
    with pytest.raises(InvalidOptionError):
        EngineSettings(**wrong)


@pytest.mark.parametrize("name", ["x\0user\0postgres", "\ud800", "", 5])
def test_a_connections_name_can_be_no_other_parameter(name: Any) -> None:
    """The driver writes what it is given: a NUL would begin another parameter, even the user."""
    with pytest.raises(InvalidOptionError, match="application_name"):
        Database(DSN, application_name=name)


def test_every_setting_is_tried() -> None:
    assert {option for option, _ in BAD} == set(EngineSettings.__dataclass_fields__)


def test_unknown_settings_are_named() -> None:
    wrong: dict[str, Any] = {"queue": {"default": 1}}
    with pytest.raises(InvalidOptionError, match="queues") as caught:
        Engine(DSN, **wrong)
    assert caught.value.option == "queue"


@pytest.mark.parametrize("option", ["password", "pasword", "secret"])
def test_an_unknown_setting_may_be_a_password(option: str) -> None:
    wrong: dict[str, Any] = {option: "w0rd"}
    with pytest.raises(InvalidOptionError) as caught:
        Engine(DSN, **wrong)
    assert caught.value.option == option
    assert "w0rd" not in "".join(traceback.format_exception(caught.value)) + repr(
        vars(caught.value)
    )
    assert ("belongs in the DSN" in str(caught.value)) == (option == "password")


@pytest.mark.parametrize("dsn", ["", None, 5, b"postgresql://"])
def test_a_dsn_is_a_text(dsn: Any) -> None:
    with pytest.raises(InvalidOptionError, match="dsn"):
        Engine(dsn)


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (0, "limit of 'io'; a queue is paused with engine.queue('io').pause()"),
        (-1, "limit of 'io'"),
        ("5", "limit of 'io'"),
    ],
)
def test_the_limit_that_is_wrong_is_named(limit: Any, told: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Engine(DSN, queues={"default": 5, "io": limit})
    assert str(caught.value).endswith(told)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p@ss:w0rd/@h/x",
        "postgresql://u:12/34w0rd@h/x",
        "postgresql://u:12#w0rd@h/x",
        "postgresql://u:12?w0rd@h/x",
        "postgresql://u:12?w0rd=@h&x",
        "postgresql://u:w0rd@[::1/x",
        "postgresql://u:w0rd@h:port/x",
        "postgresql://u:w0[rd@h/x",
        "postgresql+asyncpg://u:w0rd@h/x",
        "mysql://u:w0rd@h/x",
        "u:w0rd@h/x?://",
        "host=h password=w0rd",
        "postgresql://u%00user%00postgres:w0rd@h/x",
        "postgresql://u:w0rd@h/x%00options%00-c",
        b"postgresql://u:w0rd@h/x",
    ],
)
async def test_a_dsn_that_cannot_be_read_is_not_shown(dsn: Any) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Engine(dsn)
    assert "w0" not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    with pytest.raises(BatonError) as refused:
        await schema.current_version(dsn)
    assert "w0" not in "".join(traceback.format_exception(refused.value))


def test_edges_are_allowed() -> None:
    settings = EngineSettings(
        shutdown_grace=0, interrupt_grace=0, heartbeat_interval=5, rescue_after=15, queues={"ü": 1}
    )
    with pytest.raises(TypeError):
        settings.queues["more"] = 1  # type: ignore[index]
    assert EngineSettings(foreign_rescue_after=None).foreign_rescue_after is None


def test_a_setting_that_is_changed_later_has_no_effect() -> None:
    queues = {"default": 1}
    engine = Engine(DSN, queues=queues)
    queues["default"] = 5
    assert engine.settings.queues == {"default": 1}
    assert repr(engine) == "<Engine 'default' new queues={'default': 1}>"


async def test_an_engine_has_an_identity_from_its_start(dsn: str) -> None:
    engine = fast(dsn)
    with pytest.raises(EngineStateError, match=r"engine\.engine_id needs a running engine"):
        _ = engine.engine_id
    async with engine:
        assert isinstance(engine.engine_id, UUID)


async def test_a_missing_schema_is_said_at_the_start(empty_dsn: str) -> None:
    engine = fast(empty_dsn)
    with pytest.raises(SchemaMissingError) as caught:
        await engine.__aenter__()
    assert (caught.value.schema, caught.value.found) == ("baton", None)
    assert "baton migrate" in str(caught.value)
    assert engine.state == "stopped"
    await engine.stop()
    with pytest.raises(EngineStateError):
        await engine.__aenter__()


async def test_an_older_schema_is_said_at_the_start(dsn: str) -> None:
    async with opened(dsn) as tables:
        await tables.execute("DELETE FROM baton.baton_migrations WHERE version > 1")
    with pytest.raises(SchemaMissingError) as caught:
        await fast(dsn).__aenter__()
    assert (caught.value.found, caught.value.expected) == (1, schema.latest_version())


async def test_another_schema_is_another_world(dsn: str) -> None:
    engine = Engine(dsn, schema="elsewhere")
    with pytest.raises(SchemaMissingError, match="elsewhere"):
        await engine.__aenter__()
    await schema.migrate(dsn, schema="elsewhere")
    async with Engine(dsn, schema="elsewhere") as engine:
        assert engine.state == "running"


@pytest.mark.parametrize(
    "unreachable",
    [
        "postgresql://nobody@127.0.0.1:1/nothing",
        "postgresql://nobody@/nothing?host=/nonexistent",
    ],
)
async def test_a_server_that_cannot_be_reached(unreachable: str) -> None:
    engine = fast(unreachable)
    with pytest.raises(BatonError):
        await engine.__aenter__()
    assert engine.state == "stopped"


async def test_a_database_that_does_not_exist(dsn: str) -> None:
    engine = fast(dsn.replace("/baton_", "/no_baton_"))
    with pytest.raises(
        UnavailableError,
        match=r'^database "no_baton_\w+" does not exist: create it',
    ) as caught:
        await engine.__aenter__()
    assert caught.value.refused
    assert engine.state == "stopped"


async def test_a_missing_right_is_said_at_the_start(dsn: str) -> None:
    role = f"baton_{uuid4().hex}"
    limited = urlunsplit(
        urlsplit(dsn)._replace(netloc=f"{role}:{role}@" + urlsplit(dsn).netloc.rpartition("@")[2])
    )
    async with opened(dsn) as tables:
        await tables.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
        try:
            with pytest.raises(DatabaseError, match=r"lacks a right: .* schema baton"):
                await fast(limited).__aenter__()
            await tables.execute(f"GRANT USAGE ON SCHEMA baton TO {role}")
            with pytest.raises(DatabaseError, match=r"lacks a right: .* baton_migrations"):
                await fast(limited).__aenter__()
            with pytest.raises(DatabaseError, match=r"lacks a right: .* baton_migrations"):
                await schema.current_version(limited)
            await tables.execute(f"GRANT SELECT ON baton.baton_migrations TO {role}")
            engine = fast(limited)
            with pytest.raises(DatabaseError, match=r"lacks a right: .* baton_engines"):
                await engine.__aenter__()
            assert engine.state == "stopped"
        finally:
            await tables.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
