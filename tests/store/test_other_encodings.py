"""A database that cannot hold every text: attempts end as they ended, with what can be stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from baton import Baton, Cancel, Discard, Step, insert_all, schema, worker
from baton.core.errortext import DEFAULT_LIMIT, ascii_only
from support.databases import database_dsn, drop_database, execute
from support.running import running

GREEK = "αβγ 😀"
ESCAPED = "\\u03b1\\u03b2\\u03b3 \\U0001f600"


@pytest.fixture(params=["LATIN1", "WIN1252"])
async def narrow(server: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The DSN of a database of that encoding, migrated."""
    name = f"baton_{uuid4().hex}"
    await execute(
        server,
        f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{request.param}'"
        " LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    dsn = database_dsn(server, name)
    await schema.migrate(dsn)
    yield dsn
    await drop_database(server, dsn)


@worker(max_attempts=2, backoff=lambda attempt: 0.0)
async def raises(step: Step) -> str:
    if step.attempt == 1:
        raise ValueError(GREEK)
    return "fine"


@worker
async def cancels(step: Step) -> Cancel:
    return Cancel(GREEK)


@worker
async def discards(step: Step) -> Discard:
    return Discard(GREEK)


@worker
async def returns(step: Step, *, text: str) -> str:
    return text


@worker
async def returns_greek(step: Step) -> str:
    return GREEK


async def test_an_attempt_ends_as_it_ended(narrow: str, caplog: pytest.LogCaptureFixture) -> None:
    flows = {
        "raises": Baton().add("a", raises.new()),
        "cancels": Baton().add("a", cancels.new()),
        "discards": Baton().add("a", discards.new()),
    }
    latin = [Baton().add("a", returns.new(text="déjà vu")) for _ in range(20)]
    async with running(narrow) as run:
        await insert_all([*flows.values(), *latin], engine=run.engine)
        for workflow in latin:
            assert (await run.end(workflow)).outcome == "completed"
        for name, (state, attempt) in {
            "raises": ("completed", 2),
            "cancels": ("cancelled", 1),
            "discards": ("discarded", 1),
        }.items():
            await run.end(flows[name])
            row = await run.tables.step(flows[name], "a")
            assert (row.state, row.attempt, len(row.errors)) == (state, attempt, 1)
            assert ESCAPED in row.error
    # The text itself is in the log.
    assert GREEK in caplog.text


async def test_a_result_that_does_not_fit_is_discarded_with_the_reason(narrow: str) -> None:
    async with running(narrow) as run:
        bad = Baton().add("a", returns_greek.new())
        good = Baton().add("a", returns.new(text="ok"))
        await insert_all([bad, good], engine=run.engine)
        assert (await run.end(good)).outcome == "completed"
        assert (await run.end(bad)).outcome == "failed"
        row = await run.tables.step(bad, "a")
        assert (row.state, row.attempt) == ("discarded", 1)
        assert "UntranslatableCharacterError" in row.error


async def test_the_encoding_is_told(narrow: str, caplog: pytest.LogCaptureFixture) -> None:
    report = await schema.verify(narrow)
    (warning,) = report.warnings
    assert warning.startswith("the database's encoding is ")
    assert report.ok
    caplog.clear()
    async with running(narrow):
        assert warning in caplog.text
    await schema.rollback(narrow, to=0)
    caplog.clear()
    await schema.migrate(narrow)
    assert warning in caplog.text


async def test_a_whole_encoding_is_no_news(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    assert (await schema.verify(dsn)).warnings == ()
    async with running(dsn):
        assert "encoding" not in caplog.text


def test_a_text_of_plain_characters_is_bounded() -> None:
    assert ascii_only(GREEK) == ESCAPED
    assert ascii_only("plain") == "plain"
    long = ascii_only("é" * DEFAULT_LIMIT)
    assert len(long) <= DEFAULT_LIMIT + 2
    assert long.isascii()
    assert long.endswith("... (cut)")
