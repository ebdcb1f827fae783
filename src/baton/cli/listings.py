"""Which columns the commands show of workflows, steps, queues, engines and actions."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from baton.cli.tables import Column, Rows, ago, moment, printable
from baton.core.jsonvalue import HIGHEST_LIMIT, encode
from baton.insights import (
    Action,
    Bulk,
    EngineRow,
    QueueRow,
    StepHistory,
    StepRow,
    WorkflowDetail,
    WorkflowRow,
)
from baton.words.rows import WaitingStep
from baton.words.states import StepState

_MOST_NAMED = 5


def workflow_table(rows: Sequence[WorkflowRow], on: Console) -> Rows:
    """What failed or was cancelled has the step that failed first: below it on a terminal, else in
    columns.
    """
    columns = [
        Column("workflow"),
        Column("name", shrinks=True),
        Column("state"),
        Column("steps"),
        Column("open"),
        Column("failed"),
        Column("inserted", rank=2),
        Column("duration", rank=1),
    ]
    if not on.is_terminal:
        columns += [Column("failed step"), Column("error")]
    return Rows(
        columns,
        [
            (
                row.workflow_id,
                row.workflow_name,
                row.state if row.paused_at is None else f"{row.state}, paused",
                row.total_count,
                row.outstanding_count,
                row.failed_count,
                moment(row.inserted_at),
                ago(row.duration),
                row.failed_step,
                _first_line(row.error),
            )[: len(columns)]
            for row in rows
        ],
        {
            place: f"{row.failed_step}: {_first_line(row.error) or 'no error was kept'}"
            for place, row in enumerate(rows)
            if row.failed_step is not None
        },
    )


_MOST_OF_A_VALUE = 500
"""Characters that are shown of an input or an output."""


def about(detail: WorkflowDetail) -> list[Text]:
    """Lines with what else a workflow has: later runs, where it came from, what holds or ends it,
    tags and attributes, its input and its output.
    """
    row = detail.workflow
    lines: list[str] = []
    if detail.run > 1:
        lines.append(f"run: {detail.run}")
    if detail.forked_from is not None:
        lines.append(f"forked from: {detail.forked_from}")
    if row.paused_at is not None:
        why = "" if row.pause_reason is None else f", {row.pause_reason}"
        lines.append(f"paused since: {moment(row.paused_at)}{why}")
    if detail.deadline is not None:
        lines.append(f"deadline: {moment(detail.deadline)}")
    if row.tags:
        lines.append(f"tags: {', '.join(row.tags)}")
    if row.attributes:
        shown = encode(dict(row.attributes), what="the attributes", limit=HIGHEST_LIMIT)
        lines.append(f"attributes: {shown}")
    if detail.input is not None:
        lines.append(f"input: {_value(detail.input)}")
    if detail.output_step is not None:
        ended = detail.completion
        shown = "" if ended is None else f": {_value(ended.output)}"
        lines.append(f"output, the result of {detail.output_step!r}{shown}")
    return [Text(printable(line)) for line in lines]


def _value(value: object) -> str:
    """JSON for people; `--json` gives the whole."""
    text = encode(value, what="the value", limit=HIGHEST_LIMIT)
    return text if len(text) <= _MOST_OF_A_VALUE else f"{text[:_MOST_OF_A_VALUE]}…"


def step_table(rows: Sequence[StepRow], on: Console) -> Rows:
    """Errors stand below their step on a terminal, else in a column."""
    columns = [
        Column("step", shrinks=True),
        Column("state"),
        Column("worker", rank=1, shrinks=True),
        Column("queue", rank=2, shrinks=True),
        Column("attempt"),
        Column("scheduled", rank=4),
        Column("ended", rank=3),
        Column("after", rank=1, shrinks=True),
    ]
    if not on.is_terminal:
        columns.append(Column("error"))
    return Rows(
        columns,
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
                _error(row),
            )[: len(columns)]
            for row in rows
        ],
        {place: error for place, row in enumerate(rows) if (error := _error(row))},
    )


def _error(row: StepRow) -> str:
    """The first line of a step's last error; of one that completed after all it says nothing."""
    return "" if row.settled is StepState.COMPLETED else _first_line(row.error)


def queue_table(rows: Sequence[QueueRow]) -> Rows:
    return Rows(
        [
            Column("queue", shrinks=True),
            Column("available"),
            Column("scheduled", rank=2),
            Column("retryable"),
            Column("executing"),
            Column("suspended", rank=2),
            Column("oldest available", rank=1),
            Column("oldest executing", rank=3),
            Column("engines", rank=2),
            Column("room", rank=2),
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
                row.engines or "none",
                row.room,
            )
            for row in rows
        ],
    )


def inbox_table(rows: Sequence[WaitingStep], on: Console) -> Rows:
    """Prompts stand below their step on a terminal, else in a column."""
    columns = [
        Column("workflow"),
        Column("name", shrinks=True, rank=2),
        Column("step", shrinks=True),
        Column("waits for", shrinks=True),
        Column("since", rank=1),
        Column("until", rank=1),
        Column("correlation key", shrinks=True, rank=3),
    ]
    if not on.is_terminal:
        columns.append(Column("prompt"))
    return Rows(
        columns,
        [
            (
                row.workflow_id,
                row.workflow_name,
                row.step,
                _named(row.missing) or "a time",
                moment(row.since),
                moment(row.deadline),
                row.correlation_key,
                row.prompt,
            )[: len(columns)]
            for row in rows
        ],
        {place: row.prompt for place, row in enumerate(rows) if row.prompt},
    )


def action_table(rows: Sequence[Action]) -> Rows:
    return Rows(
        [
            Column("done"),
            Column("workflow", rank=1),
            Column("action"),
            Column("step", shrinks=True),
            Column("run", rank=2),
            Column("by", shrinks=True),
            Column("reason", shrinks=True),
            Column("result", shrinks=True, rank=3),
        ],
        [
            (
                moment(row.done_at),
                row.workflow_id,
                row.action,
                row.step,
                row.run,
                row.actor,
                _first_line(row.reason),
                ", ".join(f"{name} {value}" for name, value in row.result.items()),
            )
            for row in rows
        ],
    )


def bulk_table(rows: Sequence[Bulk]) -> Rows:
    return Rows(
        [
            Column("bulk operation"),
            Column("action"),
            Column("state"),
            Column("matched"),
            Column("done"),
            Column("passed by", rank=3),
            Column("failed"),
            Column("by", shrinks=True, rank=1),
            Column("reason", shrinks=True, rank=2),
            Column("started", rank=2),
        ],
        [
            (
                row.bulk_id,
                row.action,
                row.state,
                row.matched,
                row.done,
                row.passed,
                row.failed,
                row.actor,
                _first_line(row.reason),
                moment(row.started_at),
            )
            for row in rows
        ],
    )


def history_table(rows: Sequence[StepHistory], on: Console) -> Rows:
    """Errors stand below their step on a terminal, else in a column."""
    columns = [
        Column("replaced"),
        Column("step", shrinks=True),
        Column("run"),
        Column("state"),
        Column("attempt", rank=2),
        Column("began", rank=3),
        Column("ended", rank=1),
    ]
    if not on.is_terminal:
        columns.append(Column("error"))
    return Rows(
        columns,
        [
            (
                moment(row.replaced_at),
                row.step,
                row.run,
                row.state or "unsettled",
                row.attempt,
                moment(row.attempted_at),
                moment(row.ended_at),
                _first_line(row.error),
            )[: len(columns)]
            for row in rows
        ],
        {place: _first_line(row.error) for place, row in enumerate(rows) if row.error},
    )


def engine_table(rows: Sequence[EngineRow]) -> Rows:
    return Rows(
        [
            Column("engine", shrinks=True),
            Column("node", shrinks=True),
            Column("state"),
            Column("last seen"),
            Column("started", rank=1),
            Column("queues", shrinks=True, rank=2),
        ],
        [
            (
                row.name,
                row.node,
                "live" if row.live else "silent",
                f"{ago(row.silent_for)} ago",
                moment(row.started_at),
                ", ".join(f"{name} {limit or 'paused'}" for name, limit in row.queues.items()),
            )
            for row in rows
        ],
    )


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _named(names: Sequence[str]) -> str:
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *more])
