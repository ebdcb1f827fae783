"""The commands that look: what there is, what it does, why it waits. They change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any, TypeVar

import typer

from baton.cli.options import Dsn, Schema
from baton.cli.reporting import checked_dsn, reported, say
from baton.cli.tables import ago, moment, table
from baton.core.jsonvalue import HIGHEST_LIMIT, encode
from baton.insights import EngineRow, Insights, Page, QueueRow, StepRow, WorkflowDetail, WorkflowRow
from baton.schema import require
from baton.store.database import Database

T = TypeVar("T")

app = typer.Typer()

_MOST_NAMED = 5

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
After = Annotated[
    str | None, typer.Option(metavar="PLACE", help="Go on where the list before ended.")
]
WorkflowId = Annotated[str, typer.Argument(metavar="ID", help="The workflow's UUID.")]


@app.command()
def workflows(
    dsn: Dsn = None,
    schema: Schema = "public",
    state: Annotated[
        str | None, typer.Option(help="Only these: running, completed or failed.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Only those of this name.")] = None,
    after: After = None,
    limit: Annotated[int, typer.Option(help="Most workflows, up to 1000.")] = 20,
    as_json: Json = False,
) -> None:
    """List workflows, newest first. Times are UTC."""

    async def ask(look: Insights) -> Page[WorkflowRow]:
        page = await look.workflows(state, label, after=after, limit=limit)
        while page.next and len(page.rows) < limit:
            more = await look.workflows(state, label, after=page.next, limit=limit - len(page.rows))
            page = replace(more, rows=page.rows + more.rows)
        return page

    page = _answer(dsn, schema, ask)
    if as_json:
        _print_json(asdict(page))
        return
    typer.echo(_workflow_table(page.rows))
    _say_more(page)


@app.command()
def workflow(
    workflow_id: WorkflowId,
    dsn: Dsn = None,
    schema: Schema = "public",
    after: After = None,
    limit: Annotated[int, typer.Option(help="Most steps, up to 1000.")] = 100,
    as_json: Json = False,
) -> None:
    """Show a workflow and its steps, in the order they were added. Times are UTC."""

    async def ask(look: Insights) -> tuple[WorkflowDetail, Page[StepRow]]:
        detail = await look.workflow(workflow_id)
        return detail, await look.steps(workflow_id, after=after, limit=limit)

    detail, page = _answer(dsn, schema, ask)
    if as_json:
        _print_json({**asdict(detail), "steps": asdict(page)})
        return
    counts = [f"{count} {state}" for state, count in asdict(detail.counts).items() if count]
    typer.echo(_workflow_table([detail.workflow]))
    typer.echo(f"\nsteps: {', '.join(counts) or 'none left'}")
    if page.rows:
        typer.echo(f"\n{_step_table(page.rows)}")
    _say_more(page)


@app.command()
def queues(dsn: Dsn = None, schema: Schema = "public", as_json: Json = False) -> None:
    """Show what waits and runs in each queue, and the engines."""

    async def ask(look: Insights) -> tuple[tuple[QueueRow, ...], tuple[EngineRow, ...]]:
        return await look.queues(), await look.engines()

    found, engines = _answer(dsn, schema, ask)
    if as_json:
        _print_json({"queues": list(map(asdict, found)), "engines": list(map(asdict, engines))})
        return
    typer.echo(_queue_table(found))
    typer.echo(f"\n{_engine_table(engines)}")


@app.command()
def why(
    workflow_id: WorkflowId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step's name.")],
    dsn: Dsn = None,
    schema: Schema = "public",
    as_json: Json = False,
) -> None:
    """Tell why a step is waiting, or what has become of it."""
    told = _answer(dsn, schema, lambda look: look.why(workflow_id, step))
    if as_json:
        _print_json(asdict(told))
    else:
        typer.echo(told.sentence)


def _answer(dsn: str | None, schema: str, ask: Callable[[Insights], Awaitable[T]]) -> T:
    dsn = checked_dsn(dsn)

    async def answer() -> T:
        database = Database(dsn, schema=schema, application_name="baton-insights", pool_size=1)
        await database.open()
        try:
            await require(database)
            return await ask(Insights(database))
        finally:
            await database.close()

    with reported(dsn):
        return asyncio.run(answer())


def _print_json(value: Any) -> None:
    typer.echo(encode(value, what="the answer", limit=HIGHEST_LIMIT))


def _say_more(page: Page[Any]) -> None:
    if page.next:
        say(f"there are more: --after {page.next}")


def _workflow_table(rows: Sequence[WorkflowRow]) -> str:
    return table(
        ["workflow", "label", "state", "steps", "open", "failed", "inserted", "duration"],
        [
            (
                row.workflow_id,
                row.workflow_name,
                row.state,
                row.total_count,
                row.outstanding_count,
                row.failed_count,
                moment(row.inserted_at),
                ago(row.duration),
            )
            for row in rows
        ],
    )


def _step_table(rows: Sequence[StepRow]) -> str:
    return table(
        ["step", "state", "worker", "queue", "attempt", "scheduled", "ended", "after", "error"],
        [
            (
                row.name,
                row.settled or row.job_state or "gone",
                row.worker,
                row.queue,
                "" if row.attempt is None else f"{row.attempt}/{row.max_attempts}",
                moment(row.scheduled_at),
                moment(row.finished_at),
                _named(row.dependencies),
                (row.error or "").partition("\n")[0][:100],
            )
            for row in rows
        ],
    )


def _named(names: Sequence[str]) -> str:
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *more])


def _queue_table(rows: Sequence[QueueRow]) -> str:
    return table(
        [
            *("queue", "available", "scheduled", "retryable", "executing", "suspended"),
            *("oldest available", "oldest executing"),
        ],
        [
            (
                row.queue,
                row.available,
                row.scheduled,
                row.retryable,
                row.executing,
                row.suspended,
                ago(row.available_for),
                ago(row.executing_for),
            )
            for row in rows
        ],
    )


def _engine_table(rows: Sequence[EngineRow]) -> str:
    return table(
        ["engine", "node", "state", "last seen", "started"],
        [
            (
                row.name,
                row.node,
                "live" if row.live else "silent",
                f"{ago(row.silent_for)} ago",
                moment(row.started_at),
            )
            for row in rows
        ],
    )
