"""The commands that look: what there is, what it does, why it waits. They change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from baton.cli.listings import (
    about,
    action_table,
    bulk_table,
    engine_table,
    history_table,
    inbox_table,
    queue_table,
    step_table,
    workflow_table,
)
from baton.cli.options import Dsn, Json, ObanSchema, Schema, parse_attributes, parse_time
from baton.cli.reporting import checked_dsn, reported, say
from baton.cli.tables import console, table
from baton.cli.watching import Watch, show, watch
from baton.core.jsonvalue import HIGHEST_LIMIT, encode
from baton.insights import (
    Action,
    Bulk,
    EngineRow,
    Insights,
    Page,
    QueueRow,
    StepHistory,
    StepRow,
    WorkflowDetail,
    WorkflowRow,
)
from baton.schema import require
from baton.store.database import Database
from baton.store.sql import DEFAULT_SCHEMA
from baton.words.rows import WaitingStep

T = TypeVar("T")

app = typer.Typer()

After = Annotated[
    str | None, typer.Option(metavar="PLACE", help="Go on where the list before ended.")
]
WorkflowId = Annotated[str, typer.Argument(metavar="ID", help="The workflow's UUID.")]
Tags = Annotated[list[str] | None, typer.Option(help="Only those with this tag; may be repeated.")]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Only those with this attribute; VALUE is JSON, else a text. May be repeated.",
    ),
]
_TIME = "an ISO time (UTC unless it says otherwise), or an age such as 90s, 30min, 2h, 7d"


@app.command()
def workflows(
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    state: Annotated[
        str | None, typer.Option(help="Only these: running, completed, failed or cancelled.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only workflows of this name.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only those inserted since then: {_TIME}.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only those inserted before then.")
    ] = None,
    tag: Tags = None,
    attribute: Attributes = None,
    after: After = None,
    limit: Annotated[int, typer.Option(help="Most workflows, up to 1000.")] = 20,
    as_json: Json = False,
    watching: Watch = False,
) -> None:
    """List workflows, newest first, failed and cancelled ones with their first failed step and its
    error. Times are UTC.
    """
    list_some = partial(
        Insights.workflows,
        state=state,
        workflow_name=name,
        since=parse_time("--since", since),
        until=parse_time("--until", until),
        tags=tag,
        attributes=parse_attributes("--attribute", attribute),
    )

    async def ask(look: Insights) -> Page[WorkflowRow]:
        page = await list_some(look, after=after, limit=limit)
        while page.next and len(page.rows) < limit:
            more = await list_some(look, after=page.next, limit=limit - len(page.rows))
            page = replace(more, rows=page.rows + more.rows)
        return page

    def drawn(page: Page[WorkflowRow]) -> RenderableType:
        return Group(table(workflow_table(page.rows, on := console()), on), *_more(page))

    _answer(dsn, schema, oban_schema, ask, drawn, asdict, as_json=as_json, watching=watching)


@app.command()
def workflow(
    workflow_id: WorkflowId,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only steps in this state: available, discarded, …, or gone."),
    ] = None,
    after: After = None,
    limit: Annotated[int, typer.Option(help="Most steps, up to 1000.")] = 100,
    as_json: Json = False,
    watching: Watch = False,
) -> None:
    """Show a workflow and its steps, in the order they were added. Times are UTC."""

    async def ask(look: Insights) -> tuple[WorkflowDetail, Page[StepRow]]:
        page = await look.steps(workflow_id, state=state, after=after, limit=limit)
        return await look.workflow(workflow_id), page

    def drawn(answer: tuple[WorkflowDetail, Page[StepRow]]) -> RenderableType:
        detail, page = answer
        on = console()
        counts = [f"{count} {name}" for name, count in asdict(detail.counts).items() if count]
        parts: list[RenderableType] = [
            table(workflow_table([detail.workflow], on), on),
            Text(f"\nsteps: {', '.join(counts) or 'none left'}"),
            *about(detail),
        ]
        if page.rows:
            parts += [Text(), table(step_table(page.rows, on), on)]
        return Group(*parts, *_more(page))

    def plain(answer: tuple[WorkflowDetail, Page[StepRow]]) -> Any:
        detail, page = answer
        return {**asdict(detail), "steps": asdict(page)}

    _answer(dsn, schema, oban_schema, ask, drawn, plain, as_json=as_json, watching=watching)


@app.command()
def queues(
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    as_json: Json = False,
    watching: Watch = False,
) -> None:
    """Show what waits and runs in each queue, and the engines."""

    async def ask(look: Insights) -> tuple[tuple[QueueRow, ...], tuple[EngineRow, ...]]:
        return await look.queues(), await look.engines()

    def drawn(answer: tuple[tuple[QueueRow, ...], tuple[EngineRow, ...]]) -> RenderableType:
        found, engines = answer
        on = console()
        return Group(table(queue_table(found), on), Text(), table(engine_table(engines), on))

    def plain(answer: tuple[tuple[QueueRow, ...], tuple[EngineRow, ...]]) -> Any:
        found, engines = answer
        return {"queues": list(map(asdict, found)), "engines": list(map(asdict, engines))}

    _answer(dsn, schema, oban_schema, ask, drawn, plain, as_json=as_json, watching=watching)


@app.command()
def inbox(
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    prompted: Annotated[
        bool, typer.Option("--prompted", help="Only those that ask a person something.")
    ] = False,
    event: Annotated[str | None, typer.Option(help="Only those that wait for this event.")] = None,
    correlation_key: Annotated[
        str | None, typer.Option(help="Only those with this correlation key.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only in workflows of this name.")] = None,
    after: After = None,
    limit: Annotated[int, typer.Option(help="Most waits, up to 10000.")] = 100,
    as_json: Json = False,
    watching: Watch = False,
) -> None:
    """List what waits for people, events or a time, oldest first. Times are UTC."""

    async def ask(look: Insights) -> Page[WaitingStep]:
        return await look.waiting_steps(
            prompted=prompted or None,
            event=event,
            correlation_key=correlation_key,
            workflow_name=name,
            after=after,
            limit=limit,
        )

    def drawn(page: Page[WaitingStep]) -> RenderableType:
        return Group(table(inbox_table(page.rows, on := console()), on), *_more(page))

    def plain(page: Page[WaitingStep]) -> Any:
        rows = [{**asdict(row), "missing": row.missing} for row in page.rows]
        return {"rows": rows, "next": page.next}

    _answer(dsn, schema, oban_schema, ask, drawn, plain, as_json=as_json, watching=watching)


@app.command()
def why(
    workflow_id: WorkflowId,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step's name.")],
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    as_json: Json = False,
    watching: Watch = False,
) -> None:
    """Tell why a step is waiting, or what has become of it."""
    _answer(
        dsn,
        schema,
        oban_schema,
        lambda look: look.why(workflow_id, step),
        lambda found: Text(found.sentence),
        asdict,
        as_json=as_json,
        watching=watching,
    )


@app.command()
def actions(
    workflow_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Only what was done to this workflow.")
    ] = None,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    after: After = None,
    limit: Annotated[int, typer.Option(help="Most actions, up to 1000.")] = 50,
    as_json: Json = False,
    watching: Watch = False,
) -> None:
    """List who did what to workflows, newest first. Times are UTC."""

    def drawn(page: Page[Action]) -> RenderableType:
        return Group(table(action_table(page.rows), console()), *_more(page))

    _answer(
        dsn,
        schema,
        oban_schema,
        lambda look: look.actions(workflow_id, after=after, limit=limit),
        drawn,
        asdict,
        as_json=as_json,
        watching=watching,
    )


@app.command()
def bulks(
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    after: After = None,
    limit: Annotated[int, typer.Option(help="Most operations, up to 1000.")] = 20,
    as_json: Json = False,
    watching: Watch = False,
) -> None:
    """List operations on many workflows and how far they have come, newest first. Times are UTC."""

    def drawn(page: Page[Bulk]) -> RenderableType:
        return Group(table(bulk_table(page.rows), console()), *_more(page))

    _answer(
        dsn,
        schema,
        oban_schema,
        lambda look: look.bulks(after=after, limit=limit),
        drawn,
        asdict,
        as_json=as_json,
        watching=watching,
    )


@app.command()
def history(
    workflow_id: WorkflowId,
    step: Annotated[
        str | None, typer.Argument(metavar="[STEP]", help="Only this step, by its name.")
    ] = None,
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    after: After = None,
    limit: Annotated[int, typer.Option(help="Most entries, up to 1000.")] = 50,
    as_json: Json = False,
    watching: Watch = False,
) -> None:
    """List what retries have replaced of a workflow's steps, newest first. Times are UTC."""

    def drawn(page: Page[StepHistory]) -> RenderableType:
        return Group(table(history_table(page.rows, on := console()), on), *_more(page))

    _answer(
        dsn,
        schema,
        oban_schema,
        lambda look: look.history(workflow_id, step, after=after, limit=limit),
        drawn,
        asdict,
        as_json=as_json,
        watching=watching,
    )


def _answer(
    dsn: str | None,
    schema: str,
    oban_schema: str | None,
    ask: Callable[[Insights], Awaitable[T]],
    drawn: Callable[[T], RenderableType],
    plain: Callable[[T], Any],
    *,
    as_json: bool,
    watching: bool,
) -> None:
    """Ask once, or again and again, and show the answer as a picture or as JSON."""
    dsn = checked_dsn(dsn)

    def picture(answer: T) -> RenderableType | str:
        if as_json:
            return encode(plain(answer), what="the answer", limit=HIGHEST_LIMIT)
        return drawn(answer)

    async def answer() -> None:
        async with Database(
            dsn,
            schema=schema,
            oban_schema=oban_schema,
            application_name="baton-insights",
            pool_size=1,
        ) as database:
            await require(database)
            insights = Insights(database)
            if watching:
                await watch(lambda: ask(insights), picture)
            else:
                show(picture(await ask(insights)))

    with reported(dsn):
        asyncio.run(answer())


def _more(page: Page[Any]) -> list[RenderableType]:
    """On a terminal a line below the list; elsewhere it goes to the standard error."""
    if page.next is None:
        return []
    hint = f"there are more: --after {page.next}"
    if console().is_terminal:
        return [Text(hint, style="dim")]
    say(hint)
    return []
