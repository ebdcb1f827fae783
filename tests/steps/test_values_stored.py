"""Models with aliases go through the database: as results, events, memos and arguments."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from baton import Baton, Step, send_event, worker
from support.running import running
from support.values import KEPT, Circle, Drawing, Nested, Secretive, same

ALIASED = {
    name: value
    for name, value in KEPT.items()
    if hasattr(value, "model_dump") and "secret" not in name
}


@worker(name="stored.make", max_attempts=1)
async def make(step: Step, *, what: str, given: Nested) -> Any:
    assert given == KEPT["nested alias"]
    return KEPT[what]


@worker(name="stored.read", max_attempts=1)
async def read(step: Step, *, what: str) -> bool:
    kind = type(KEPT[what])
    memo = await step.memo("memo", lambda: KEPT[what])
    assert same(kind.model_validate(memo, by_name=True, by_alias=True), KEPT[what])
    event = await step.wait_for(what, payload_type=kind)
    return same(await step.result(f"make {what}", kind), KEPT[what]) and same(event, KEPT[what])


async def test_models_are_read_as_they_were_written(dsn: str) -> None:
    workflow = Baton()
    for what in ALIASED:
        workflow.add(f"make {what}", make.new(what=what, given=KEPT["nested alias"]))
        workflow.add(f"read {what}", read.new(what=what), deps=[f"make {what}"])
    async with running(dsn) as run:
        await run.insert(workflow)
        for what, value in ALIASED.items():
            await send_event(workflow.workflow_id, what, value)
        await run.end(workflow)
        for what in ALIASED:
            assert await run.engine.workflow(workflow.workflow_id).result(f"read {what}") is True


@worker(name="stored.lose", max_attempts=3)
async def lose(step: Step, *, how: str) -> Any:
    if how == "secret":
        return [Secretive(user="u", token=SecretStr("s3cret"))]
    if how == "memo":
        await step.memo("m", lambda: [Drawing(shapes=[Circle(name="c", radius=1)])])
    return {"a": Drawing(shapes=[Circle(name="c", radius=1)])}


async def test_what_would_be_lost_ends_the_step_with_the_reason(dsn: str) -> None:
    workflow = Baton()
    for how, attempts in (("secret", 3), ("subclass", 3), ("memo", 1)):
        workflow.add(how, lose.new(how=how), max_attempts=attempts)
    async with running(dsn) as run:
        completion = await run.workflow(workflow)
        assert sorted(completion.failed_steps) == ["memo", "secret", "subclass"]
        secret = await run.tables.step(workflow, "secret")
        assert "it contains a secret" in secret.error
        assert "s3cret" not in secret.error
        subclass = await run.tables.step(workflow, "subclass")
        assert "Drawing.shapes[0] changes when it is read back" in subclass.error
        memo = await run.tables.step(workflow, "memo")
        assert "the memo 'm' cannot be stored: Drawing.shapes[0] changes" in memo.error
        # No retry can help.
        assert (secret.attempt, subclass.attempt) == (1, 1)
