"""The commands that look, as an operator meets them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from baton import Baton, Engine, Step, insert_all, schema, send_event, worker
from cli.test_cli import NOWHERE, baton
from support.looking import noop, sight

NOBODY = str(UUID(int=0))


@worker(name="looking.breaks", max_attempts=1)
async def breaks(step: Step) -> None:
    raise ValueError("card declined")


async def shown(dsn: str, *arguments: str) -> str:
    status, text = await baton(*arguments, dsn=dsn)
    assert status == 0, text
    return text


async def read(dsn: str, *arguments: str) -> Any:
    return json.loads(await shown(dsn, *arguments, "--json"))


async def test_workflows_page_by_page(dsn: str) -> None:
    async with sight(dsn) as seen:
        flows = [Baton(workflow_name=name).add("a", noop.new()) for name in ("x", "y\u00e9", "x")]
        for workflow in flows:
            await seen.insert(workflow)
        await seen.end(flows[0], "failed")
        await seen.end(flows[1], "cancelled")
    old, middle, new = (str(workflow.workflow_id) for workflow in flows)
    text = await shown(dsn, "workflows")
    titles, *lines = text.splitlines()
    assert titles.split()[:4] == ["workflow", "name", "state", "steps"]
    assert [line.split()[0] for line in lines] == [new, middle, old]
    assert lines[1].split()[1:4] == ["yé", "cancelled", "1"]
    assert lines[2].split()[2] == "failed"
    text = await shown(dsn, "workflows", "--limit", "2")
    (place,) = [line.rpartition(" ")[2] for line in text.splitlines() if "more: --after" in line]
    page = await read(dsn, "workflows", "--limit", "2", "--after", place)
    assert ([row["workflow_id"] for row in page["rows"]], page["next"]) == ([old], None)
    page = await read(dsn, "workflows", "--state", "cancelled")
    assert [row["workflow_id"] for row in page["rows"]] == [middle]
    page = await read(dsn, "workflows", "--name", "x", "--state", "running")
    assert [row["workflow_id"] for row in page["rows"]] == [new]
    assert page["rows"][0]["finished_at"] is None
    assert page["rows"][0]["inserted_at"].endswith("Z")


async def test_failed_workflows_say_what_failed(dsn: str) -> None:
    async with Engine(dsn, queues={"default": 2}) as engine:
        workflow = Baton().add("fetch", noop.new()).add("charge", breaks.new(), deps=["fetch"])
        await workflow.add("ship", noop.new(), deps=["charge"]).insert(engine=engine)
        await engine.workflow(workflow.workflow_id).completion(timeout=30)
    text = await shown(dsn, "workflows", "--state", "failed", "--since", "1h")
    assert "charge       ValueError: card declined" in text
    (row,) = (await read(dsn, "workflows"))["rows"]
    assert (row["failed_step"], row["error"][:25]) == ("charge", "ValueError: card declined")
    text = await shown(dsn, "workflow", str(workflow.workflow_id), "--state", "cancelled")
    assert [line.split()[0] for line in text.splitlines()[4:] if line] == ["step", "ship"]
    assert (await read(dsn, "workflows", "--until", "1h"))["rows"] == []
    assert (await read(dsn, "workflows", "--since", "2099-01-01"))["rows"] == []
    assert len((await read(dsn, "workflows", "--until", "2099-01-01T00:00+02:00"))["rows"]) == 1


async def test_one_workflow_with_its_steps(dsn: str) -> None:
    async with sight(dsn) as seen:
        names = [f"s{number}" for number in range(7)]
        workflow = Baton(workflow_name="w")
        for name in names:
            workflow.add(name, noop.new())
        await seen.insert(workflow.add("end", noop.new(), deps=names))
        await seen.tables.change(
            workflow,
            "s1",
            state="'retryable'",
            errors="""'[{"error":"Boom: \\u001b[31m\\nat"}]'""",
        )
    workflow_id = str(workflow.workflow_id)
    text = await shown(dsn, "workflow", workflow_id)
    assert "steps: 6 available, 1 suspended, 1 retryable" in text
    (line,) = [line for line in text.splitlines() if line.startswith("s1 ")]
    assert line.split()[1:5] == ["retryable", "looking.noop", "default", "0/20"]
    assert line.endswith("Boom: ·[31m")
    assert "s0, s1, s2, s3, s4, 2 more" in text
    found = await read(dsn, "workflow", workflow_id, "--limit", "3")
    assert [row["name"] for row in found["steps"]["rows"]] == names[:3]
    assert (found["counts"]["suspended"], found["completion"]) == (1, None)
    found = await read(dsn, "workflow", workflow_id, "--after", found["steps"]["next"])
    assert [row["name"] for row in found["steps"]["rows"]] == [*names[3:], "end"]
    assert found["steps"]["rows"][-1]["dependencies"] == names


@worker(name="looking.mends", backoff=0)
async def mends(step: Step) -> None:
    if step.attempt == 1:
        raise ValueError("not yet")


async def test_a_step_that_completed_after_all_shows_no_error(dsn: str) -> None:
    async with Engine(dsn, queues={"default": 2}, stage_interval=0.05) as engine:
        workflow = Baton().add("a", mends.new())
        await workflow.insert(engine=engine)
        await workflow.completion(timeout=30)
    assert "not yet" not in await shown(dsn, "workflow", str(workflow.workflow_id))
    found = await read(dsn, "workflow", str(workflow.workflow_id))
    assert "not yet" in found["steps"]["rows"][0]["error"]


async def test_queues_and_engines(dsn: str) -> None:
    async with sight(dsn) as seen:
        await seen.insert(Baton().add("a", noop.new(), queue="io"))
        await seen.engine()
        await seen.engine(silent_for=3_600)
    text = await shown(dsn, "queues")
    assert [line.split()[:2] for line in text.splitlines()[:2]] == [
        ["queue", "available"],
        ["io", "1"],
    ]
    assert {line.split()[2] for line in text.splitlines() if line.startswith("ours")} == {
        "live",
        "silent",
    }
    found = await read(dsn, "queues")
    assert [(row["queue"], row["available"]) for row in found["queues"]] == [("io", 1)]
    assert sorted(row["live"] for row in found["engines"]) == [False, True]


async def test_why(dsn: str) -> None:
    async with sight(dsn) as seen:
        workflow = Baton().add("a", noop.new()).add("b", noop.new(), deps=["a"])
        await seen.insert(workflow)
    told = await shown(dsn, "why", str(workflow.workflow_id), "b")
    assert told == "step 'b' waits for dependencies (1 of 1): 'a' is available\n"
    found = await read(dsn, "why", str(workflow.workflow_id), "b")
    assert found["reason"] == "dependencies"
    assert found["dependencies"] == [{"name": "a", "state": "available"}]


async def test_the_inbox_lists_what_waits(dsn: str) -> None:
    asked = (
        Baton(workflow_name="article")
        .wait("review", any_of=["decision", "veto"], prompt="May it be published?")
        .wait("paid", any_of=["paid"], correlation_key="order 7", timeout=3600)
    )
    other = Baton(workflow_name="other").wait("review", any_of=["decision"], prompt="And this?")
    async with Engine(dsn) as engine:
        await insert_all([asked, other], engine=engine)
        await send_event(asked.workflow_id, "paid2", engine=engine)
    text = await shown(dsn, "inbox")
    titles, *lines = text.splitlines()
    assert titles.split()[:5] == ["workflow", "name", "step", "waits", "for"]
    first = f"{asked.workflow_id}  article  review  decision, veto  "
    assert lines[0].startswith(first)
    assert lines[0].rstrip().endswith("May it be published?")
    assert "order 7" in lines[1]
    assert len(lines) == 3
    for filters, steps in {
        ("--prompted",): ["review", "review"],
        ("--event", "decision", "--name", "article"): ["review"],
        ("--correlation-key", "order 7"): ["paid"],
        ("--name", "nobody"): [],
    }.items():
        page = await read(dsn, "inbox", *filters)
        assert [row["step"] for row in page["rows"]] == steps
        assert page["next"] is None
    page = await read(dsn, "inbox", "--limit", "1")
    (row,) = page["rows"]
    assert row["missing"] == ["decision", "veto"]
    assert row["workflow_id"] == str(asked.workflow_id)
    page = await read(dsn, "inbox", "--after", page["next"])
    assert [row["step"] for row in page["rows"]] == ["paid", "review"]


async def test_another_schema(empty_dsn: str) -> None:
    status, text = await baton("queues", "--schema", "jobs", dsn=empty_dsn)
    assert (status, "run: baton migrate --schema jobs" in text) == (1, True), text
    await schema.migrate(empty_dsn, schema="jobs")
    assert (await read(empty_dsn, "workflows", "--schema", "jobs"))["rows"] == []
    assert "workflow  name" in await shown(empty_dsn, "workflows", "--schema", "jobs")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["workflow", NOBODY], 1, f"there is no workflow {NOBODY}"),
        (["why", NOBODY, "a"], 1, f"there is no workflow {NOBODY}"),
        (["inbox", "--limit", "0"], 2, "from 1 to 10000"),
        (["inbox", "--event", ""], 2, "event"),
        (["workflow", "x"], 2, "a UUID"),
        (["why", NOBODY, ""], 2, "1 to 255"),
        (["workflows", "--state", "done"], 2, "running, completed, failed or cancelled"),
        (["workflows", "--limit", "0"], 2, "from 1 to 1000"),
        (["workflows", "--after", "x"], 2, "the page before"),
        (["workflows", "--since", "yesterday"], 2, "30min"),
        (["workflow", NOBODY, "--state", "done"], 2, "available, suspended"),
    ],
)
async def test_wrong_use_says_what(dsn: str, arguments: list[str], status: int, words: str) -> None:
    ended_with, text = await baton(*arguments, dsn=dsn)
    assert ended_with == status, text
    assert words in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "command", [["workflows"], ["workflow", NOBODY], ["queues"], ["inbox"], ["why", NOBODY, "a"]]
)
async def test_no_database_no_password(command: list[str]) -> None:
    status, text = await baton(*command, dsn=NOWHERE)
    assert (status, "w0rd" in text, "Traceback" in text) == (1, False, False), text
    status, text = await baton(*command)
    assert (status, "BATON_DATABASE_URL" in text) == (2, True), text
