"""The commands that act on one workflow, or on all that match a filter. Each is a call of a
handle, made by an engine without queues.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Annotated, Any, NamedTuple

import typer

from baton.cli.acting import act, actor
from baton.cli.conditions import Filter
from baton.cli.many import DryRun, Verb, Where, carry_out_on_many, read_target
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

_STEP_AND_OBJECT = re.compile(r"(.+?)=\s*(\{.*)", re.DOTALL)

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
    list[str] | None,
    typer.Option(
        metavar="STEP=JSON",
        help="""Other arguments of a step, such as 'a={"url": "…"}'; may be repeated.""",
    ),
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
def fork(
    workflow_id: Annotated[str, typer.Argument(metavar="ID", help="The workflow's UUID.")],
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    from_steps: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="STEP",
            help="Perform this step and all below it, take the results of the others over; may be "
            "repeated. Default: perform everything.",
        ),
    ] = None,
    args: Args = None,
    name: Annotated[
        str | None, typer.Option(help="The name of the new workflow. Default: the same.")
    ] = None,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Begin a new workflow with the results of another one, which stays as it is. Prints the id of
    the new one.

    Exit status: 0 done; 1 failed, such as for a step that has not settled and would be taken over;
    2 used wrongly.
    """
    given, who = read_args(args), actor(by)

    async def body(engine: Engine) -> str:
        new = await engine.workflow(workflow_id).fork(
            from_steps or None, args=given, workflow_name=name, by=who, reason=reason
        )
        return str(new.workflow_id)

    in_doubt = f"see the newest of: baton actions {workflow_id}"
    fork_id = act(dsn, schema, oban_schema, body, in_doubt=in_doubt)
    answer = {"workflow_id": fork_id, "forked_from": workflow_id}
    typer.echo(encode(answer, what="the answer") if as_json else fork_id)


class Turn(NamedTuple):
    """A command that either does something to a workflow as a whole or finds it done already."""

    one: Callable[..., Awaitable[bool]]
    many: Callable[..., Awaitable[Bulk]]
    done: str
    done_already: str
    help: str


def add_turn(name: str, turn: Turn) -> None:
    """Add the command of that name."""

    @app.command(name, help=turn.help)
    def command(
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
        who = actor(by)

        async def one(handle: WorkflowHandle) -> dict[str, Any]:
            return {turn.done: await turn.one(handle, reason, by=who)}

        def said(done: Mapping[str, Any]) -> str:
            return turn.done if done[turn.done] else turn.done_already

        async def many(handle: WorkflowsHandle, progress: Progress) -> Bulk:
            return await turn.many(handle, reason, by=who, progress=progress)

        place, target = (dsn, schema, oban_schema), read_target(workflow_id, where, dry_run)
        carry_out(place, target, one, said, many, dry_run=dry_run, as_json=as_json)


TURNS = {
    "pause": Turn(
        WorkflowHandle.pause,
        WorkflowsHandle.pause,
        "paused",
        "it is paused already",
        """Start no further step of a workflow; what runs goes on.

        Exit status: 0 done, also where it is paused already; 1 failed, such as for a workflow that
        has ended; 2 used wrongly.
        """,
    ),
    "resume": Turn(
        WorkflowHandle.resume,
        WorkflowsHandle.resume,
        "resumed",
        "it is not paused",
        """Have a paused workflow go on.

        Exit status: 0 done, also where it is not paused; 1 failed, such as for a workflow that has
        ended; 2 used wrongly.
        """,
    ),
}
for each, turn in TURNS.items():
    add_turn(each, turn)


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


def read_args(given: list[str] | None) -> dict[str, Any] | None:
    """The arguments by step; ends the command where one is no such text, or a step comes twice."""
    found: dict[str, Any] = {}
    for text in given or ():
        # A step's name may hold "=", an object begins with "{".
        parts = _STEP_AND_OBJECT.fullmatch(text)
        try:
            args = None if parts is None else decode(parts[2])
        except ValueError:
            args = None
        if parts is None or args is None or parts[1] in found:
            expected = """one STEP=JSON a step, such as --args 'fetch={"url": "…"}'"""
            fail(f"--args {text!r}: expected {expected}", MISUSED)
        found[parts[1]] = args
    return found or None
