"""The commands that act on all workflows that match a filter, and on such operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated

import typer

from baton.cli.acting import act
from baton.cli.conditions import Filter, read_conditions
from baton.cli.options import Dsn, Json, ObanSchema, Schema
from baton.cli.reporting import FAILED, MISUSED, fail, say
from baton.core.jsonvalue import HIGHEST_LIMIT, encode
from baton.engine import Engine
from baton.handles.workflows import WorkflowsHandle
from baton.insights import Bulk
from baton.runs.bulk import Progress
from baton.store.sql import DEFAULT_SCHEMA

app = typer.Typer()

Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="All workflows with state=…, name=…, since=…, until=…, tag=… or attributes.KEY=…; may "
        "be repeated: all must hold.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="With --where: only count the workflows that match.")
]

Verb = Callable[[WorkflowsHandle, Progress], Awaitable[Bulk]]

_DONE = {"cancel": "cancelled", "retry": "retried", "pause": "paused", "resume": "resumed"}


def read_target(workflow_id: str | None, where: list[str] | None, dry_run: bool) -> str | Filter:
    """The workflow, or the filter, that a command is to act on; ends it where there is not one."""
    if (workflow_id is None) == (not where):
        fail("which workflow? Give its ID, or --where state=failed for all that match", MISUSED)
    if workflow_id is not None:
        if dry_run:
            fail("--dry-run goes with --where", MISUSED)
        return workflow_id
    return read_conditions(where or [])


def carry_out_on_many(
    dsn: str | None,
    schema: str,
    oban_schema: str | None,
    chosen: Filter,
    verb: Verb,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Act on all that match, and tell how many that were; with `dry_run` only tell."""

    async def body(engine: Engine) -> Bulk | int:
        many = engine.workflows(**chosen)
        return await (many.count() if dry_run else verb(many, told))

    done = act(dsn, schema, oban_schema, body)
    if isinstance(done, Bulk):
        _conclude(done, as_json=as_json)
    else:
        typer.echo(encode({"matched": done}, what="the count") if as_json else f"{done} match")


@app.command("resume-bulk")
def resume_bulk(
    bulk_id: Annotated[str, typer.Argument(metavar="BULK", help="The operation's UUID.")],
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    as_json: Json = False,
) -> None:
    """Do the rest of an operation on many workflows that has stopped on its way; `baton bulks`
    lists them.

    Exit status: 0 done, 1 failed, also where a workflow refused it, 2 used wrongly.
    """
    done = act(dsn, schema, oban_schema, lambda engine: engine.resume_bulk(bulk_id, progress=told))
    _conclude(done, as_json=as_json)


def told(bulk: Bulk) -> None:
    """Tell on the standard error how far an operation has come."""
    come = bulk.done + bulk.passed + bulk.failed
    if bulk.finished_at is None:
        say(f"bulk operation {bulk.bulk_id}: {come} of {bulk.matched}")


def _conclude(bulk: Bulk, *, as_json: bool) -> None:
    if as_json:
        typer.echo(encode(asdict(bulk), what="the answer", limit=HIGHEST_LIMIT))
    else:
        counts = [f"{_DONE[bulk.action]} {bulk.done} of {bulk.matched}"]
        counts += [f"passed {bulk.passed} by"] if bulk.passed else []
        counts += [f"{bulk.failed} failed"] if bulk.failed else []
        typer.echo(", ".join(counts))
    for failure in bulk.failures:
        say(f"{failure.workflow_id}: {failure.error}")
    if bulk.failed:
        raise typer.Exit(FAILED)
