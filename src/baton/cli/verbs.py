"""The commands that act on one workflow, or on all that match a filter. Each is a call of a
handle, made by an engine without queues.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Annotated, Any

import typer

from baton.cli.acting import act, actor
from baton.cli.many import DryRun, Filter, Verb, Where, carry_out_on_many, read_target
from baton.cli.options import By, Dsn, Json, ObanSchema, Reason, Schema
from baton.cli.reporting import MISUSED, fail
from baton.core.jsonvalue import decode, encode
from baton.engine import Engine
from baton.handles.workflow import WorkflowHandle
from baton.handles.workflows import WorkflowsHandle
from baton.runs.bulk import Progress
from baton.store.sql import DEFAULT_SCHEMA
from baton.words.bulk import Bulk

app = typer.Typer()

CANCELLED = "cancelled by request"
"""The reason of a cancellation that is given none."""

WorkflowId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The workflow's UUID; or give --where.")
]


class Mode(Enum):
    """`RetryMode`, as it is written on a command line."""

    FAILED = "failed"
    FAILED_AND_DOWNSTREAM = "failed-and-downstream"
    ALL = "all"

    @property
    def spoken(self) -> str:
        return self.value.replace("-", "_")


ModeOption = Annotated[
    Mode,
    typer.Option(
        help="What is begun anew: what failed; this and what completed below it, because it "
        "ignores failures; or all."
    ),
]
Steps = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Begin this step and all below it anew instead; may be repeated."
    ),
]
Args = Annotated[
    str | None,
    typer.Option(metavar="JSON", help="""Other arguments by step: '{"a": {"url": "…"}}'."""),
]
KeepMemos = Annotated[
    bool, typer.Option("--keep-memos", help="Keep the steps' memos and the waits inside them.")
]
Interrupt = Annotated[bool, typer.Option("--interrupt", help="Interrupt chosen steps that run.")]


@app.command()
def cancel(
    workflow_id: WorkflowId = None,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    step: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this step, and what it dooms.")
    ] = None,
    where: Where = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Cancel what has not ended of a workflow, or one step of it. Steps that run are interrupted.

    Exit status: 0 done, also where the workflow has ended already; 1 failed, such as for a step
    that has settled; 2 used wrongly.
    """
    why, who = CANCELLED if reason is None else reason, actor(by)
    target = read_target(workflow_id, where, dry_run)
    if step is not None and not isinstance(target, str):
        fail("--step names a step of one workflow: give its ID", MISUSED)

    async def one(handle: WorkflowHandle) -> dict[str, Any]:
        if step is None:
            return {"cancelled": await handle.cancel(why, by=who)}
        return {"cancelled": await handle.cancel_step(step, why, by=who)}

    def said(done: Mapping[str, Any]) -> str:
        count = done["cancelled"]
        return f"cancelled {steps(count)}" if count else "nothing to cancel: it has ended"

    async def many(handle: WorkflowsHandle, progress: Progress) -> Bulk:
        return await handle.cancel(why, by=who, progress=progress)

    place = (dsn, schema, oban_schema)
    carry_out(place, target, one, said, many, dry_run=dry_run, as_json=as_json)


@app.command("complete-step")
def complete_step(
    workflow_id: Annotated[str, typer.Argument(metavar="ID", help="The workflow's UUID.")],
    step: Annotated[str, typer.Argument(metavar="NAME", help="The step's name.")],
    result: Annotated[str, typer.Option(metavar="JSON", help="The result of the step.")],
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Settle a step as completed with a result that you bring. What its failure had cancelled is
    begun after all.

    Exit status: 0 done; 1 failed, such as for a step that has completed; 2 used wrongly.
    """
    try:
        value = decode(result)
    except ValueError as error:
        fail(f"--result {result!r}: expected JSON: {error}", MISUSED)

    async def body(engine: Engine) -> None:
        handle = engine.workflow(workflow_id)
        await handle.complete_step(step, value, by=actor(by), reason=reason)

    act(dsn, schema, oban_schema, body)
    answer = {"workflow_id": workflow_id, "step": step}
    typer.echo(encode(answer, what="the answer") if as_json else f"completed {step}")


@app.command()
def retry(
    workflow_id: WorkflowId = None,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    mode: ModeOption = Mode.FAILED,
    step: Steps = None,
    args: Args = None,
    keep_memos: KeepMemos = False,
    interrupt: Interrupt = False,
    where: Where = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Begin steps of a workflow anew, in a next run if it has ended.

    Exit status: 0 done; 1 failed, such as when no step has failed, or a chosen one runs; 2 used
    wrongly.
    """
    chosen: dict[str, Any] = {"mode": mode.spoken, "steps": step or None, "args": read_args(args)}
    chosen |= {"keep_memos": keep_memos, "interrupt": interrupt, "by": actor(by), "reason": reason}

    async def one(handle: WorkflowHandle) -> dict[str, Any]:
        done = await handle.retry(**chosen)
        return {"run": done.run, "steps": done.steps}

    def said(done: Mapping[str, Any]) -> str:
        return f"retried {steps(done['steps'])}, in run {done['run']}"

    async def many(handle: WorkflowsHandle, progress: Progress) -> Bulk:
        return await handle.retry(**chosen, progress=progress)

    place, target = (dsn, schema, oban_schema), read_target(workflow_id, where, dry_run)
    carry_out(place, target, one, said, many, dry_run=dry_run, as_json=as_json)


@app.command()
def pause(
    workflow_id: WorkflowId = None,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    where: Where = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Start no further step of a workflow; what runs goes on.

    Exit status: 0 done, also where it is paused already; 1 failed, such as for a workflow that has
    ended; 2 used wrongly.
    """
    who = actor(by)

    async def one(handle: WorkflowHandle) -> dict[str, Any]:
        return {"paused": await handle.pause(reason, by=who)}

    def said(done: Mapping[str, Any]) -> str:
        return "paused" if done["paused"] else "it is paused already"

    async def many(handle: WorkflowsHandle, progress: Progress) -> Bulk:
        return await handle.pause(reason, by=who, progress=progress)

    place, target = (dsn, schema, oban_schema), read_target(workflow_id, where, dry_run)
    carry_out(place, target, one, said, many, dry_run=dry_run, as_json=as_json)


@app.command()
def resume(
    workflow_id: WorkflowId = None,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    where: Where = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Have a paused workflow go on.

    Exit status: 0 done, also where it is not paused; 1 failed, such as for a workflow that has
    ended; 2 used wrongly.
    """
    who = actor(by)

    async def one(handle: WorkflowHandle) -> dict[str, Any]:
        return {"resumed": await handle.resume(reason, by=who)}

    def said(done: Mapping[str, Any]) -> str:
        return "resumed" if done["resumed"] else "it is not paused"

    async def many(handle: WorkflowsHandle, progress: Progress) -> Bulk:
        return await handle.resume(reason, by=who, progress=progress)

    place, target = (dsn, schema, oban_schema), read_target(workflow_id, where, dry_run)
    carry_out(place, target, one, said, many, dry_run=dry_run, as_json=as_json)


def carry_out(
    place: tuple[str | None, str, str | None],
    target: str | Filter,
    one: Callable[[WorkflowHandle], Awaitable[dict[str, Any]]],
    said: Callable[[Mapping[str, Any]], str],
    many: Verb,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Act on one workflow, or on all that match; tell what was done, as a sentence or as JSON."""
    if not isinstance(target, str):
        carry_out_on_many(*place, target, many, dry_run=dry_run, as_json=as_json)
        return
    done = act(*place, lambda engine: one(engine.workflow(target)))
    answer = {"workflow_id": target, **done}
    typer.echo(encode(answer, what="the answer") if as_json else said(done))


def steps(count: int) -> str:
    """So many steps."""
    return "1 step" if count == 1 else f"{count} steps"


def read_args(text: str | None) -> dict[str, Any] | None:
    """The arguments by step; ends the command where it is no such JSON."""
    if text is None:
        return None
    try:
        given = decode(text)
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(one, dict) for one in given.values()):
        fail("""--args: expected JSON, such as '{"step": {"url": "…"}}'""", MISUSED)
    return given
