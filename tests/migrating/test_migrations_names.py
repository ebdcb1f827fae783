"""Any schema name: rendered and quoted correctly everywhere, or refused before any SQL."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import asyncpg
import pytest
from hypothesis import given, strategies as st

from baton import schema
from baton.errors import InvalidNameError
from baton.store.packaged import schema_folder
from baton.store.sql import (
    MAX_CHANNEL_BYTES,
    MAX_SCHEMA_BYTES,
    Sql,
    quote_identifier,
    quote_literal,
)
from support.schema_snapshot import describe

ALL = list(range(1, schema.latest_version() + 1))
QUERIES = files("baton").joinpath("store", "queries")
NOWHERE = "postgresql:///none?host=/nowhere"

STRANGE = [
    'x"; DROP TABLE users; --',
    "a'b",
    "'; DROP TABLE users; --",
    "ünï",
    "$1",
    "$$",
    "$oban$$settle$",
    "%s",
    "{}",
    "a.b c",
    "Mixed Case",
    "select",
    "user",
    "loop",
    "strict",
    "n",
    "v_event",
    "back\\slash'",
    "/*schema.*/",
    "*/x/*",
    "line\nbreak\t-- ",
    "é" * (MAX_SCHEMA_BYTES // 2),
]

REFUSED = [
    "",
    "nul\0byte",
    "lone\ud800surrogate",
    "x" * (MAX_SCHEMA_BYTES + 1),
    "é" * (MAX_SCHEMA_BYTES // 2 + 1),
    "x" * 64,
    "x" * 200,
    "pg_catalog",
    "pg_temp",
    None,
    7,
]


async def test_strange_names_live_side_by_side(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    await connection.execute("CREATE TABLE users (id integer)")
    public = await describe(connection, "public")
    await schema.migrate(empty_dsn, schema="plain")
    plain = await describe(connection, "plain")
    for name in STRANGE:
        assert await schema.migrate(empty_dsn, schema=name) == ALL
    for name in STRANGE:
        assert await describe(connection, name) == plain
        assert (await schema.verify(empty_dsn, schema=name)).ok
        assert await schema.current_version(empty_dsn, schema=name) == ALL[-1]
        assert await schema.rollback(empty_dsn, to=0, schema=name) == ALL[::-1]
        assert await describe(connection, name) == {}
    assert await describe(connection, "public") == public
    assert await describe(connection, "plain") == plain


@pytest.mark.parametrize("name", STRANGE)
async def test_printed_sql_of_strange_names(connection: asyncpg.Connection[Any], name: str) -> None:
    await connection.execute(schema.migration_sql(schema=name))
    assert await schema.current_version(connection, schema=name) == ALL[-1]


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_names_are_refused_before_any_sql(name: Any) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: schema.migrate(NOWHERE, schema=name),
        lambda: schema.rollback(NOWHERE, schema=name, to=0),
        lambda: schema.current_version(NOWHERE, schema=name),
        lambda: schema.verify(NOWHERE, schema=name),
    ]
    for call in calls:
        with pytest.raises(InvalidNameError) as caught:
            await call()
        assert (caught.value.kind, caught.value.given) == ("schema", name)
    with pytest.raises(InvalidNameError):
        schema.migration_sql(schema=name)


NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15
)


async def test_quoting_is_what_the_server_understands(connection: asyncpg.Connection[Any]) -> None:
    for name in [*STRANGE, "x" * 63, 'y"' * 31, "pg_catalog"]:
        row = await connection.fetchrow(
            f"SELECT {quote_literal(name)} AS {quote_identifier(name)}, quote_ident($1::text)", name
        )
        assert row is not None
        assert next(iter(row.items())) == (name, name)
        await connection.execute("SET standard_conforming_strings = off")
        assert await connection.fetchval(f"SELECT {quote_literal(name)}") == name
        await connection.execute("SET standard_conforming_strings = on")


async def test_a_name_is_quoted_where_the_server_quotes_it(
    connection: asyncpg.Connection[Any],
) -> None:
    words = {row["word"] for row in await connection.fetch("SELECT word FROM pg_get_keywords()")}
    plain = {"jobs", "_", "a1", "tenant_a", "1a", "a$b", "Jobs", "a-b", "ä", "a b", ""}
    names = sorted(words | plain - {""}) + STRANGE
    quoted = await connection.fetch(
        "SELECT name, quote_ident(name) FROM unnest($1::text[]) AS u (name)", names
    )
    ends_a_statement_in_a_function = {
        *("begin", "by", "declare", "execute", "foreach", "if", "loop", "strict", "while")
    }
    assert {name for name, expected in quoted if quote_identifier(name) != expected} <= (
        ends_a_statement_in_a_function
    )
    assert quote_identifier("loop") == '"loop"'


@given(NAMES)
def test_a_quoted_identifier_cannot_be_left(name: str) -> None:
    quoted = quote_identifier(name)
    if quoted == name:
        assert re.fullmatch("[a-z_][a-z0-9_]*", quoted)
    else:
        assert re.fullmatch('"(?:[^"]|"")+"', quoted)
        assert quoted[1:-1].replace('""', '"') == name


@given(NAMES.filter(lambda name: not name.startswith("pg_")))
def test_rendering_touches_only_the_markers(name: str) -> None:
    sql = Sql(name)
    text = "DO $body$ SELECT $1, '%s {}' FROM /*schema.*/t, u(/*schema_literal*/'baton') $body$"
    opened, body, closed = re.fullmatch(
        r"DO (\$body_*\$)(.*)(\$body_*\$)", sql.render(text), re.DOTALL
    ).groups()  # type: ignore[union-attr]
    assert opened == closed
    assert opened not in body
    assert body == f" SELECT $1, '%s {{}}' FROM {sql.identifier}.t, u({sql.literal}) "


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "a\0b", "\udfff", None])
def test_identifiers_that_no_server_can_hold(name: Any) -> None:
    with pytest.raises(InvalidNameError) as caught:
        quote_identifier(name, "queue")
    assert caught.value.kind == "queue"


def test_channels_are_scoped_and_fit() -> None:
    assert Sql("jobs").channel("oban_insert") == "jobs.oban_insert"
    longest = Sql("x" * MAX_SCHEMA_BYTES).channel("y" * MAX_CHANNEL_BYTES)
    assert len(longest) == 63
    with pytest.raises(InvalidNameError, match="channel"):
        Sql("jobs").channel("y" * (MAX_CHANNEL_BYTES + 1))
    with pytest.raises(InvalidNameError, match="channel"):
        Sql("jobs").channel("")


def packaged_sql() -> list[tuple[str, str]]:
    folders = (
        schema_folder().joinpath("migrations"),
        schema_folder().joinpath("functions"),
        QUERIES,
    )
    return [
        (file.name, file.read_text("utf-8"))
        for folder in folders
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]


@pytest.mark.parametrize(("name", "text"), packaged_sql(), ids=lambda value: str(value)[:40])
def test_packaged_sql_renders_without_a_rest(name: str, text: str) -> None:
    sql = Sql("it's")
    rendered = sql.render(text)
    assert not re.search(r"/\*(?:schema|oban)", rendered), f"{name} holds a marker that is not one"
    literals = re.findall("'(?:[^']|'')*'", re.sub("--.*", "", text))
    assert not any("/*schema" in literal or "/*oban" in literal for literal in literals), (
        f"{name}: marker inside a literal"
    )
    for channel in re.findall(r"/\*(?:schema|oban)_literal\*/'baton' \|\| '\.(\w+)'", text):
        assert sql.channel(channel)


async def test_every_query_is_understood_in_a_strange_schema(
    empty_dsn: str, connection: asyncpg.Connection[Any]
) -> None:
    name = 'it\'s \\ "strange" $1'
    await schema.migrate(empty_dsn, schema=name)
    await connection.execute("SET search_path = pg_catalog")
    sql = Sql(name)
    queries = [path.name.removesuffix(".sql") for path in QUERIES.iterdir()]
    problems: dict[str, str] = {}
    for query in sorted(set(queries) - {"create_migrations_table"}):
        try:
            await connection.prepare(sql(query))
        except asyncpg.PostgresError as error:
            problems[query] = str(error)
    assert problems == {}
    assert len(queries) > 30


def test_a_query_file_is_rendered_once() -> None:
    sql = Sql("one")
    assert sql("read_migrations") is sql("read_migrations")
    assert "one.baton_migrations" in sql("read_migrations")
    assert sql == Sql("one")
    assert hash(sql) == hash(Sql("one"))
    with pytest.raises(FileNotFoundError):
        sql("no_such_query")
