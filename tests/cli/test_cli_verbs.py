"""The commands that act on a workflow, as an operator meets them."""

from __future__ import annotations

import asyncio
import getpass
import re
from uuid import UUID

import pytest
from typer.testing import CliRunner

from baton import Baton, Discard, Engine, Step, worker
from baton.cli.commands import app
from baton.errors import UnavailableError
from baton.handles.verbs import WorkflowVerbs
from baton.insights import Action
from cli.test_cli import NOWHERE, baton
from cli.test_cli_insights import read, shown

NOBODY = str(UUID(int=0))


@worker(name="cli_verbs.fetch")
async def fetch(step: Step, *, url: str = "") -> int | Discard:
    return len(url) or Discard("no url\nat all")


async def failed(dsn: str) -> str:
    """The id of a workflow whose step `fetch` was discarded, and `store` cancelled for that."""
    async with Engine(dsn, queues={"default": 2}) as engine:
        flow = Baton().add("fetch", fetch.new()).add("store", fetch.new(url="x"), deps=["fetch"])
        await flow.insert(engine=engine)
        await flow.handle().completion(timeout=30)
    return str(flow.workflow_id)


async def waiting(dsn: str) -> str:
    """The id of a workflow that waits for an event; its two steps hang on that."""
    async with Engine(dsn) as engine:
        flow = Baton().wait("gate", any_of=["go"]).add("a", fetch.new(), deps=["gate"])
        await flow.add("b", fetch.new()).insert(engine=engine)
    return str(flow.workflow_id)


async def recorded(dsn: str, workflow_id: str) -> tuple[Action, ...]:
    async with Engine(dsn) as engine:
        return (await engine.insights.actions(workflow_id)).rows


async def test_cancel(dsn: str) -> None:
    flow = await waiting(dsn)
    assert await read(dsn, "cancel", flow, "--step", "b", "--by", "ann") == {
        "workflow_id": flow,
        "cancelled": 1,
    }
    status, text = await baton("cancel", flow, "--step", "b", dsn=dsn)
    assert (status, "has settled as cancelled" in text, len(text.splitlines())) == (1, True, 1)
    assert await shown(dsn, "cancel", flow, "--reason", "no more") == "cancelled 2 steps\n"
    assert await shown(dsn, "cancel", flow) == "nothing to cancel: it has ended\n"
    whole, step = await recorded(dsn, flow)
    assert (whole.action, whole.actor, whole.reason) == ("cancel", getpass.getuser(), "no more")
    assert (step.action, step.step, step.actor) == ("cancel_step", "b", "ann")
    assert step.reason == "cancelled by request"


async def test_pause_and_resume(dsn: str) -> None:
    flow = await waiting(dsn)
    assert await read(dsn, "pause", flow, "--by", "ann", "--reason", "broken") == {
        "workflow_id": flow,
        "paused": True,
    }
    assert await shown(dsn, "pause", flow) == "it is paused already\n"
    text = await shown(dsn, "workflow", flow)
    assert re.search(r"^paused since: 20.*, broken$", text, re.MULTILINE)
    assert await shown(dsn, "resume", flow) == "resumed\n"
    assert await shown(dsn, "resume", flow) == "it is not paused\n"
    resumed, paused = await recorded(dsn, flow)
    assert (resumed.action, resumed.actor) == ("resume", getpass.getuser())
    assert (paused.action, paused.actor, paused.reason) == ("pause", "ann", "broken")


async def test_retry(dsn: str) -> None:
    flow = await failed(dsn)
    args = 'fetch={"url": "http://a"}'
    text = await shown(dsn, "retry", flow, "--args", args, "--reason", "typo", "--by", "ann")
    assert text == "retried 2 steps, in run 2\n"
    async with Engine(dsn, queues={"default": 2}) as engine:
        assert (await engine.workflow(flow).completion(timeout=30)).outcome == "completed"
    status, text = await baton("retry", flow, dsn=dsn)
    assert (status, "mode='failed' retries nothing" in text) == (1, True)
    assert "run: 2\n" in await shown(dsn, "workflow", flow)
    for choice in (["--mode", "all"], ["--step", "fetch", "--keep-memos"]):
        done = await read(dsn, "retry", flow, *choice)
        assert (done["workflow_id"], done["steps"]) == (flow, 2)
    named, everything, first = await recorded(dsn, flow)
    assert (first.actor, first.reason, first.details["args"]) == ("ann", "typo", ["fetch"])
    assert (everything.details["mode"], everything.actor) == ("all", getpass.getuser())
    assert (named.details["steps"], named.details["keep_memos"]) == (["fetch"], True)


async def test_actions_and_history(dsn: str) -> None:
    flow, other = await failed(dsn), await waiting(dsn)
    await shown(dsn, "retry", flow, "--mode", "failed-and-downstream", "--by", "ann")
    await shown(dsn, "cancel", other, "--by", "bob", "--reason", "old\nand grey")
    titles, newest, oldest = (await shown(dsn, "actions")).splitlines()
    assert titles.split()[:4] == ["done", "workflow", "action", "step"]
    assert newest.split()[2:] == [other, "cancel", "1", "bob", "old", "cancelled", "3"]
    assert oldest.split()[2:5] == [flow, "retry", "2"]
    page = await read(dsn, "actions", flow)
    assert [row["actor"] for row in page["rows"]] == ["ann"]
    text = await shown(dsn, "actions", "--limit", "1")
    (place,) = [line.split()[-1] for line in text.splitlines() if "--after" in line]
    assert flow in await shown(dsn, "actions", "--after", place)

    text = await shown(dsn, "history", flow, "fetch")
    assert "discarded" in text
    assert text.splitlines()[1].endswith("  no url")
    page = await read(dsn, "history", flow)
    assert sorted(row["step"] for row in page["rows"]) == ["fetch", "store"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("cancel",),
        ("cancel", "nonsense"),
        ("cancel", NOBODY, "--step", ""),
        ("retry", "nonsense"),
        ("retry", NOBODY, "--mode", "some"),
        ("retry", NOBODY, "--mode", "all", "--step", "a"),
        ("retry", NOBODY, "--args", "{"),
        ("retry", NOBODY, "--args", '{"a": {"url": "x"}}'),
        ("retry", NOBODY, "--args", "a=1"),
        ("retry", NOBODY, "--args", "={}"),
        ("retry", NOBODY, "--args", 'a={"url"}'),
        ("fork", NOBODY, "--args", "a={}", "--args", "a={}"),
        ("fork", "nonsense"),
        ("fork", NOBODY, "--from", ""),
        ("fork", NOBODY, "--name", ""),
        ("fork",),
        ("retry", NOBODY, "--by", "x" * 2_001),
        ("actions", "nonsense"),
        ("history", "nonsense"),
        ("history", NOBODY, "--after", "x"),
    ],
)
async def test_what_is_no_option_is_refused(dsn: str, arguments: tuple[str, ...]) -> None:
    status, text = await baton(*arguments, dsn=dsn)
    assert (status, "Traceback" in text) == (2, False), text


@pytest.mark.parametrize("verb", ["cancel", "retry", "fork", "pause", "resume"])
async def test_what_is_not_there_is_told_in_one_line(dsn: str, verb: str) -> None:
    status, text = await baton(verb, NOBODY, dsn=dsn)
    assert (status, len(text.splitlines())) == (1, 1)
    assert text.startswith(f"baton: there is no workflow {NOBODY}")
    status, text = await baton(verb, NOBODY, dsn=NOWHERE)
    assert (status, "Traceback" in text) == (1, False), text


async def test_complete_step(dsn: str) -> None:
    flow = await failed(dsn)
    arguments = ("complete-step", flow, "fetch", "--result", '{"n": [1]}')
    assert await shown(dsn, *arguments, "--by", "ann") == "completed fetch\n"
    async with Engine(dsn) as engine:
        assert await engine.workflow(flow).result("fetch") == {"n": [1]}
    (action,) = await recorded(dsn, flow)
    assert (action.action, action.step, action.actor) == ("complete_step", "fetch", "ann")
    status, text = await baton(*arguments, dsn=dsn)
    assert (status, len(text.splitlines())) == (1, 1)
    status, text = await baton("complete-step", flow, "fetch", "--result", "{", dsn=dsn)
    assert (status, "expected JSON" in text) == (2, True)


async def test_fork(dsn: str) -> None:
    flow = await failed(dsn)
    args = ("--args", 'fetch={"url": "http://a"}', "--args", 'store= {"url": "=b"}')
    about = ("--name", "once more", "--by", "ann", "--reason", "typo")
    first = (await shown(dsn, "fork", flow, *args, *about)).removesuffix("\n")
    async with Engine(dsn, queues={"default": 2}) as engine:
        fork = engine.workflow(first)
        assert (await fork.completion(timeout=30)).outcome == "completed"
        assert [await fork.result(step) for step in ("fetch", "store")] == [8, 2]
        detail = await fork.status()
    assert (str(detail.forked_from), detail.workflow.workflow_name) == (flow, "once more")
    done = await read(dsn, "fork", first, "--from", "store", "--by", "bob")
    assert done["forked_from"] == first
    async with Engine(dsn) as engine:
        assert await engine.workflow(done["workflow_id"]).result("fetch") == 8
    text = await shown(dsn, "workflow", done["workflow_id"])
    assert f"forked from: {first}\n" in text
    ((action,), (second,)) = await recorded(dsn, flow), await recorded(dsn, first)
    assert (action.action, action.actor, action.reason) == ("fork", "ann", "typo")
    assert (second.actor, second.result["workflow_id"]) == ("bob", done["workflow_id"])
    status, text = await baton("fork", flow, "--from", "store", dsn=dsn)
    assert (status, len(text.splitlines())) == (1, 1), text
    status, text = await baton("fork", flow, "--from", "stor", dsn=dsn)
    assert (status, "has no step named 'stor'" in text) == (1, True), text


@pytest.mark.parametrize(
    ("verb", "todo"),
    [("fork", f"see the newest of: baton actions {NOBODY}"), ("cancel", "call it again")],
)
async def test_a_second_fork_is_not_advised_where_the_first_is_in_doubt(
    dsn: str, monkeypatch: pytest.MonkeyPatch, verb: str, todo: str
) -> None:
    async def lost(*given: object, **options: object) -> None:
        raise UnavailableError("the connection was lost", in_doubt=True)

    monkeypatch.setattr(WorkflowVerbs, verb, lost)
    arguments = [verb, NOBODY, "--dsn", dsn]
    said = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert said.exit_code == 1
    assert said.output.endswith(f"whether it was done is unknown: {todo}\n")
