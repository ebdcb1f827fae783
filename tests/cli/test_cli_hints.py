"""What a command says that was given a name which is nearly right."""

from __future__ import annotations

import pytest

from baton import Baton, Engine
from cli.test_cli import NOWHERE, baton, ended, said, start
from cli.test_cli_insights import NOBODY
from support.databases import execute
from support.looking import noop


async def test_a_schema_beside_the_one_meant(dsn: str) -> None:
    status, text = await baton("workflows", "--schema", "batn", dsn=dsn)
    assert status == 1
    assert (
        "schema 'batn' has no Baton tables, expected version 2; this database has them in 'baton': "
        "correct --schema, or run: baton migrate --schema batn"
    ) in text


async def test_without_any_installation_none_is_named(empty_dsn: str) -> None:
    status, text = await baton("workflows", dsn=empty_dsn)
    assert status == 1
    assert "expected version 2; run: baton migrate --schema baton" in text


async def test_a_database_that_is_not_there(dsn: str) -> None:
    status, text = await baton("migrate", "--dsn", dsn.replace("/baton_", "/nodb_"))
    assert status == 1
    assert "does not exist: create it, or correct the DSN" in text


async def test_a_step_and_a_workflow_that_are_not_there(dsn: str) -> None:
    workflow = Baton().add("publish", noop.new())
    async with Engine(dsn) as engine:
        await workflow.insert(engine=engine)
    known = str(workflow.workflow_id)
    status, text = await baton("why", known, "publsh", dsn=dsn)
    assert status == 1
    assert f"workflow {known} has no step named 'publsh'; did you mean 'publish'?" in text
    assert "there is no workflow" in (await baton("why", NOBODY, "publish", dsn=dsn))[1]
    await execute(dsn, "DELETE FROM baton.workflow_nodes")
    assert (
        "'publish' any more: its rows were pruned"
        in (await baton("why", known, "publish", dsn=dsn))[1]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["migrate", "--dsn", NOWHERE, "--to", "9999"], "--to 9999: expected a version from 0 to"),
        (["migrate", "--dsn", NOWHERE, "--down", "9"], "--down 9: expected a version from 0 to"),
        (["migrate", "--print", "--from", "9"], "--from 9: expected a version from 0 to"),
        (["worker", "support.no_workers:engin"], "; it has the engines 'engine', 'web'"),
    ],
)
async def test_what_was_typed_is_named(arguments: list[str], words: str) -> None:
    status, text = await baton(*arguments)
    assert (status, words in text) == (2, True), text


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("web", "support.no_workers:web has no queues: it performs nothing; give --queues"),
        ("engine", "no worker is registered in this process: import their modules in 'support.no"),
    ],
)
async def test_a_worker_that_performs_nothing_says_so(dsn: str, attribute: str, words: str) -> None:
    process = await start("worker", f"support.no_workers:{attribute}", dsn=dsn)
    try:
        lines = await said(process, "runs, queues: ")
        assert lines.count("WARNING") == 1
        assert words in lines
        process.terminate()
        assert (await ended(process))[0] == 0
    finally:
        if process.returncode is None:
            process.kill()
