"""The commands that act on all workflows that match, as an operator meets them."""

from __future__ import annotations

import pytest

from baton import Baton, Engine, Step, insert_all, worker
from cli.test_cli import baton
from cli.test_cli_insights import read, shown
from cli.test_cli_verbs import NOBODY, failed, recorded


@worker(name="cli_many.noop")
async def noop(step: Step) -> None:
    """Never performed."""


async def test_many_at_once(dsn: str) -> None:
    flows = [await failed(dsn) for _ in range(2)]
    match = ("--where", "state=failed", "--where", "since=1h")
    assert await shown(dsn, "retry", *match, "--dry-run") == "2 match\n"
    assert await read(dsn, "retry", *match, "--dry-run") == {"matched": 2}
    args = 'fetch={"url": "http://a"}'
    text = await shown(dsn, "retry", *match, "--args", args, "--by", "ann", "--reason", "typo")
    assert text.splitlines()[-1] == "retried 2 of 2"
    assert ": 0 of 2" in text.splitlines()[0]
    (action,) = await recorded(dsn, flows[0])
    assert (action.actor, action.reason, action.run) == ("ann", "typo", 2)
    bulk_id = str(action.bulk_id)
    assert await shown(dsn, "resume-bulk", bulk_id) == "retried 2 of 2\n"
    done = await read(dsn, "resume-bulk", bulk_id)
    assert (done["bulk_id"], done["state"], done["done"]) == (bulk_id, "finished", 2)


async def test_the_other_verbs(dsn: str) -> None:
    flows = [Baton().add("a", noop.new()) for _ in range(2)]
    async with Engine(dsn) as engine:
        await insert_all(flows, engine=engine)
    for verb, done in (("pause", "paused"), ("resume", "resumed"), ("cancel", "cancelled")):
        text = await shown(dsn, verb, "--where", "state=running")
        assert text.splitlines()[-1] == f"{done} 2 of 2"
    text = await shown(dsn, "bulks")
    assert [line.split()[1] for line in text.splitlines()[1:]] == ["cancel", "resume", "pause"]


async def test_workflows_that_refuse_are_told(dsn: str) -> None:
    flow = await failed(dsn)
    status, text = await baton("retry", "--where", "state=failed", "--step", "nope", dsn=dsn)
    assert (status, "retried 0 of 1, 1 failed" in text) == (1, True), text
    assert f"baton: {flow}: workflow {flow} has no step named 'nope'" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("retry", "--where", "state"),
        ("retry", "--where", "state="),
        ("retry", "--where", "=red"),
        ("retry", "--where", "tag="),
        ("retry", "--where", "tag=a\x01"),
        ("retry", "--where", "attributes.=acme"),
        ("retry", "--where", "attributes={}"),
        ("retry", "--where", "attributes.a=1", "--where", "attributes.a=2"),
        ("retry", "--where", "state=some"),
        ("retry", "--where", "since=then"),
        ("retry", "--where", "state=failed", "--where", "state=running"),
        ("retry", NOBODY, "--where", "state=failed"),
        ("retry", NOBODY, "--dry-run"),
        ("retry", "--dry-run"),
        ("cancel", "--where", "state=running", "--step", "a"),
        ("pause",),
        ("resume-bulk", "x"),
    ],
)
async def test_what_is_no_filter_is_refused(dsn: str, arguments: tuple[str, ...]) -> None:
    status, text = await baton(*arguments, dsn=dsn)
    assert (status, "Traceback" in text) == (2, False), text


@pytest.mark.parametrize(
    ("conditions", "matched"),
    [
        (["tag=eu"], 3),
        (["tag=eu", "tag=trial"], 1),
        (["attributes.tenant=acme"], 2),
        (["attributes.tenant=acme", "attributes.n=3", "tag=eu"], 1),
        (["attributes.n=3"], 1),
        (['attributes.n="3"'], 1),
        (['attributes.deep={"a": 1}'], 1),
        (["attributes.deep=a"], 0),
        (["attributes.a=b=c"], 1),
        (["tag=eu", "name=other"], 1),
        (["tag=eu", "state=failed"], 0),
    ],
)
async def test_tags_and_attributes(dsn: str, conditions: list[str], matched: int) -> None:
    flows = [
        Baton(tags=["eu", "trial"], attributes={"tenant": "acme", "n": 3}),
        Baton(tags=["eu"], attributes={"tenant": "acme", "n": "3", "deep": {"a": 1, "b": 2}}),
        Baton(workflow_name="other", tags=["eu"], attributes={"a": "b=c"}),
        Baton(),
    ]
    async with Engine(dsn) as engine:
        await insert_all([flow.add("a", noop.new()) for flow in flows], engine=engine)
    where = [word for condition in conditions for word in ("--where", condition)]
    assert await read(dsn, "pause", *where, "--dry-run") == {"matched": matched}
    text = await shown(dsn, "pause", *where)
    assert text.splitlines()[-1] == f"paused {matched} of {matched}"


@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        ("tags=eu", "--where tag=eu"),
        ("workflow_name=ingest", "--where name=ingest"),
        ("status=failed", "--where state=failed"),
        ("sinse=2h", "--where since=2h"),
        ("tenant=acme", "--where attributes.tenant=acme"),
        ("attribute.tenant=acme", "--where attributes.tenant=acme"),
        ("attributes=tenant=acme", "--where attributes.tenant=acme"),
        (
            'attributes={"tenant": "a b", "n": 3, "m": "3"}',
            """--where 'attributes.tenant=a b' --where attributes.n=3 --where 'attributes.m="3"'""",
        ),
        ("state=failed,name=ingest", "--where state=failed --where name=ingest"),
    ],
)
async def test_a_slip_is_answered_with_what_was_meant(condition: str, meant: str) -> None:
    status, text = await baton("retry", "--where", condition)
    assert (status, text) == (2, f"baton: --where {condition!r}: did you mean {meant}?\n")
