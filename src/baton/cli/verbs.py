"""The commands that act on one workflow. Each is a call of the workflow's handle, made by an engine
without queues.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Annotated, Any

import typer

from baton.cli.options import Dsn, ObanSchema, Schema
from baton.cli.reporting import MISUSED, checked_dsn, fail, reported
from baton.core.jsonvalue import decode, encode
from baton.engine import Engine
from baton.store.sql import DEFAULT_SCHEMA
from baton.words.database_errors import UnavailableError

app = typer.Typer()

CANCELLED = "cancelled by request"
"""The reason of a cancellation that is given none."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
By = Annotated[
    str | None,
    typer.Option(metavar="WHO", help="Who does it, for the record. Default: the system's user."),
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the record.")]
WorkflowId = Annotated[str, typer.Argument(metavar="ID", help="The workflow's UUID.")]


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
    workflow_id: WorkflowId,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    step: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this step, and what it dooms.")
    ] = None,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Cancel what has not ended of a workflow, or one step of it. Steps that run are interrupted.

    Exit status: 0 done, also where the workflow has ended already; 1 failed, such as for a step
    that has settled; 2 used wrongly.
    """

    async def act(engine: Engine) -> dict[str, Any]:
        handle, why = engine.workflow(workflow_id), CANCELLED if reason is None else reason
        if step is None:
            count = await handle.cancel(why, by=actor(by))
        else:
            count = await handle.cancel_step(step, why, by=actor(by))
        return {"workflow_id": handle.workflow_id, "cancelled": count}

    def said(done: Mapping[str, Any]) -> str:
        count = done["cancelled"]
        return f"cancelled {steps(count)}" if count else "nothing to cancel: it has ended"

    carry_out(dsn, schema, oban_schema, act, said, as_json=as_json)


@app.command()
def retry(
    workflow_id: WorkflowId,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    mode: ModeOption = Mode.FAILED,
    step: Steps = None,
    args: Args = None,
    keep_memos: KeepMemos = False,
    interrupt: Interrupt = False,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Begin steps of a workflow anew, in a next run if it has ended.

    Exit status: 0 done; 1 failed, such as when no step has failed, or a chosen one runs; 2 used
    wrongly.
    """
    given = read_args(args)

    async def act(engine: Engine) -> dict[str, Any]:
        handle = engine.workflow(workflow_id)
        done = await handle.retry(
            mode.spoken,
            steps=step or None,
            args=given,
            keep_memos=keep_memos,
            interrupt=interrupt,
            by=actor(by),
            reason=reason,
        )
        return {"workflow_id": handle.workflow_id, "run": done.run, "steps": done.steps}

    def said(done: Mapping[str, Any]) -> str:
        return f"retried {steps(done['steps'])}, in run {done['run']}"

    carry_out(dsn, schema, oban_schema, act, said, as_json=as_json)


@app.command()
def pause(
    workflow_id: WorkflowId,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Start no further step of a workflow; what runs goes on.

    Exit status: 0 done, also where it is paused already; 1 failed, such as for a workflow that has
    ended; 2 used wrongly.
    """

    async def act(engine: Engine) -> dict[str, Any]:
        handle = engine.workflow(workflow_id)
        done = await handle.pause(reason, by=actor(by))
        return {"workflow_id": handle.workflow_id, "paused": done}

    def said(done: Mapping[str, Any]) -> str:
        return "paused" if done["paused"] else "it is paused already"

    carry_out(dsn, schema, oban_schema, act, said, as_json=as_json)


@app.command()
def resume(
    workflow_id: WorkflowId,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    reason: Reason = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Have a paused workflow go on.

    Exit status: 0 done, also where it is not paused; 1 failed, such as for a workflow that has
    ended; 2 used wrongly.
    """

    async def act(engine: Engine) -> dict[str, Any]:
        handle = engine.workflow(workflow_id)
        done = await handle.resume(reason, by=actor(by))
        return {"workflow_id": handle.workflow_id, "resumed": done}

    def said(done: Mapping[str, Any]) -> str:
        return "resumed" if done["resumed"] else "it is not paused"

    carry_out(dsn, schema, oban_schema, act, said, as_json=as_json)


def carry_out(
    dsn: str | None,
    schema: str,
    oban_schema: str | None,
    act: Callable[[Engine], Awaitable[dict[str, Any]]],
    said: Callable[[Mapping[str, Any]], str],
    *,
    as_json: bool,
) -> None:
    """Act by an engine without queues, and tell what was done, as a sentence or as JSON."""
    dsn = checked_dsn(dsn)

    async def work() -> dict[str, Any]:
        async with Engine(
            dsn, schema=schema, oban_schema=oban_schema, name="baton-cli", pool_size=2
        ) as engine:
            return await act(engine)

    with reported(dsn):
        try:
            done = asyncio.run(work())
        except UnavailableError as error:
            if error.in_doubt:
                fail(f"{error.message}; whether it was done is unknown: call it again")
            raise
        typer.echo(encode(done, what="the answer") if as_json else said(done))


def actor(by: str | None) -> str | None:
    """Who acts: the one named, else the system's user, where it has a name."""
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None


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
