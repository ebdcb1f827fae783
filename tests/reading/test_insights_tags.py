"""Workflows are found by their tags and attributes, page by page, however rare they are."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any
from uuid import UUID

import pytest

from baton import Baton
from baton.errors import (
    InvalidNameError,
    InvalidOptionError,
    NotStorableError,
    TooLargeError,
)
from baton.insights import Insights
from baton.store import insights as store
from cli.test_cli import baton
from support.looking import noop, sight
from support.running import running


def workflow(name: str | None = None, **found_by: Any) -> Baton:
    return Baton(workflow_name=name, **found_by).add("a", noop.new())


async def every(look: Insights, limit: int = 50, **asked: Any) -> list[list[UUID]]:
    pages: list[list[UUID]] = []
    after = None
    while True:
        page = await look.workflows(**asked, after=after, limit=limit)
        pages.append([row.workflow_id for row in page.rows])
        after = page.next
        if after is None:
            return pages


async def test_what_is_given_is_stored_and_shown(dsn: str) -> None:
    plain = workflow()
    full = workflow(
        tags=["eu", 'q"uo\\te', "{}", "eu"],
        attributes={"tenant": "acme", "n": 7, "deep": {"a": [1, None, "ü"]}},
    )
    async with sight(dsn) as seen:
        await seen.insert(plain, full)
        rows = {row.workflow_id: row for row in (await seen.look.workflows()).rows}
        assert (rows[plain.workflow_id].tags, rows[plain.workflow_id].attributes) == ((), {})
        row = rows[full.workflow_id]
        assert row.tags == ("eu", 'q"uo\\te', "{}")
        assert row.attributes == {"tenant": "acme", "n": 7, "deep": {"a": [1, None, "ü"]}}
        assert (await seen.look.workflow(full.workflow_id)).workflow.tags == row.tags
        stored = "SELECT count(*) FROM baton.workflows WHERE tags IS NULL AND attributes IS NULL"
        assert await seen.tables.value(stored) == 1
    status, text = await baton("workflow", str(full.workflow_id), dsn=dsn)
    assert status == 0
    assert 'tags: eu, q"uo\\te, {}\n' in text
    assert '"tenant":"acme"' in text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"tags": ["eu"]}, "abc"),
        ({"tags": ["eu", "trial"]}, "b"),
        ({"tags": []}, "abcde"),
        ({"tags": ["none"]}, ""),
        ({"attributes": {"tenant": "acme"}}, "ad"),
        ({"attributes": {"tenant": "acme", "n": 1}}, "a"),
        ({"attributes": {"deep": {"x": [2]}}}, "d"),
        ({"attributes": {}}, "abcde"),
        ({"attributes": {"n": "1"}}, ""),
        ({"tags": ["eu"], "attributes": {"tenant": "acme"}}, "a"),
        ({"tags": ["eu"], "workflow_name": "c"}, "c"),
        ({"tags": ["eu"], "state": "failed"}, "b"),
        ({"attributes": {"tenant": "acme"}, "state": "cancelled"}, "d"),
        ({"attributes": {"tenant": "acme"}, "state": "running"}, "a"),
    ],
)
@pytest.mark.parametrize("looked_at", [2, 10_000])
async def test_they_choose(
    dsn: str, asked: dict[str, Any], found: str, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one look does not reach far, and their index has to help or has too many."""
    flows = {
        "a": workflow("a", tags=["eu"], attributes={"tenant": "acme", "n": 1}),
        "b": workflow("b", tags=["trial", "eu"]),
        "c": workflow("c", tags=["eu", "us"]),
        "d": workflow("d", attributes={"tenant": "acme", "deep": {"x": [1, 2]}}),
        "e": workflow("e"),
    }
    monkeypatch.setattr(store, "MOST_LOOKED_AT", looked_at)
    async with sight(dsn) as seen:
        for flow in flows.values():
            await seen.insert(flow)
        await seen.end(flows["b"], "failed")
        await seen.end(flows["d"], "cancelled")
        wanted = [flows[name].workflow_id for name in reversed(found)]
        for limit in (1, 2, 50):
            pages = await every(seen.look, limit, **asked)
            assert list(chain.from_iterable(pages)) == wanted
            assert max(map(len, pages)) <= limit


async def test_rare_ones_are_found_at_once(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many others stand before them: one page, and it is the last."""
    monkeypatch.setattr(store, "MOST_LOOKED_AT", 5)
    rare = [workflow(tags=["rare"], attributes={"of": "rare"}) for _ in range(3)]
    async with sight(dsn) as seen:
        for flow in [*rare, *(workflow(tags=["common"]) for _ in range(30))]:
            await seen.insert(flow)
        for asked in ({"tags": ["rare"]}, {"attributes": {"of": "rare"}}):
            (page,) = await every(seen.look, **asked)
            assert page == [flow.workflow_id for flow in reversed(rare)]
            pages = await every(seen.look, 1, **asked)
            assert [len(page) for page in pages] == [1, 1, 1]
        assert len(list(chain.from_iterable(await every(seen.look, tags=["common"])))) == 30


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"tags": "eu"}, InvalidOptionError),
        ({"tags": [1]}, InvalidNameError),
        ({"tags": ["x" * 256]}, InvalidNameError),
        ({"tags": [str(number) for number in range(33)]}, InvalidOptionError),
        ({"attributes": ["tenant"]}, InvalidOptionError),
        ({"attributes": {1: "a"}}, NotStorableError),
        ({"attributes": {"a": float("nan")}}, NotStorableError),
        ({"attributes": {"a": "x" * 8_192}}, TooLargeError),
    ],
)
async def test_what_cannot_be_given_or_asked(
    dsn: str, given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Baton(**given)
    async with sight(dsn) as seen:
        with pytest.raises(error):
            await seen.look.workflows(**given)


async def test_the_command_finds_them(dsn: str) -> None:
    flows = [
        workflow(tags=["eu"], attributes={"tenant": "acme", "n": 3}),
        workflow(tags=["eu", "trial"], attributes={"tenant": "3"}),
    ]
    async with sight(dsn) as seen:
        for flow in flows:
            await seen.insert(flow)
    first, second = (str(flow.workflow_id) for flow in flows)
    for options, wanted in (
        (["--tag", "eu"], [second, first]),
        (["--tag", "eu", "--tag", "trial"], [second]),
        (["--attribute", "tenant=acme", "--attribute", "n=3"], [first]),
        (["--attribute", 'tenant="3"'], [second]),
        (["--attribute", "tenant=3"], []),
    ):
        status, text = await baton("workflows", "--json", *options, dsn=dsn)
        assert status == 0, text
        assert [row["workflow_id"] for row in json.loads(text)["rows"]] == wanted, options
    status, text = await baton("workflows", "--attribute", "tenant", dsn=dsn)
    assert (status, "expected NAME=VALUE" in text) == (2, True)


async def test_a_fork_has_those_of_its_source(dsn: str) -> None:
    source = workflow(tags=["eu"], attributes={"tenant": "acme"})
    async with running(dsn, queues={}) as run:
        await run.insert(source)
        fork = await run.engine.workflow(source.workflow_id).fork()
        row = (await run.engine.insights.workflow(fork.workflow_id)).workflow
        assert (row.tags, row.attributes) == (("eu",), {"tenant": "acme"})
        for flow in (source.workflow_id, fork.workflow_id):
            await run.engine.workflow(flow).cancel()
