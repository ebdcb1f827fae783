"""Rows as a table for people: on a terminal it fits the width and has colours; elsewhere it is
plain text of full width, one row a line, for `grep` and `awk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from baton.core.durations import spoken

# Wider than any row: what is piped is never shortened.
_UNBOUNDED = 1_000_000
_GAP = 2
_NARROWEST = 10
"""Characters that a column which may be shortened keeps at least."""

_STYLES = {
    "completed": "green",
    "live": "green",
    "running": "cyan",
    "executing": "cyan",
    "retryable": "yellow",
    "cancelled": "yellow",
    "failed": "red",
    "discarded": "red",
    "gone": "red",
    "silent": "red",
    "scheduled": "dim",
    "suspended": "dim",
    "skipped": "dim",
}


class Column(NamedTuple):
    """One column. A terminal too narrow for all loses those of the highest `rank` first; those of
    rank 0 stay. A column that `shrinks` is shortened before any is lost.
    """

    title: str
    rank: int = 0
    shrinks: bool = False


@dataclass(frozen=True)
class Rows:
    """A table. `details` are texts that stand below the row of that place, shortened to one line,
    on terminals only: for all others the columns say the same.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]
    details: Mapping[int, str] = field(default_factory=dict[int, str])


def console() -> Console:
    """The standard output, as wide as its terminal or, without one, as any row."""
    found = Console(highlight=False, markup=False, emoji=False)
    if found.is_terminal:
        return found
    return Console(highlight=False, markup=False, emoji=False, width=_UNBOUNDED)


def table(given: Rows, on: Console) -> Text:
    """The table as it fits on a console. Numbers stand to the right, states have their colour, and
    what cannot be printed is shown as "·". Below a table with columns left out they are named.
    """
    cells = [[printable(value) for value in row] for row in given.rows]
    titles = [column.title for column in given.columns]
    natural = [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]
    widths = fitted(given.columns, natural, on.width)
    numbers = [
        bool(given.rows) and all(isinstance(row[place], int) for row in given.rows)
        for place in range(len(titles))
    ]

    def line(texts: Sequence[str], bold: bool = False) -> Text:
        parts: list[tuple[str, str]] = []
        for text, width, number in zip(texts, widths, numbers, strict=True):
            if width is not None:
                style = "bold" if bold else _STYLES.get(text, "")
                parts.append((_sized(text, width, number) + " " * _GAP, style))
        joined = Text.assemble(*parts)
        joined.rstrip()
        return joined

    lines = [line(titles, bold=True)]
    for place, texts in enumerate(cells):
        lines.append(line(texts))
        if on.is_terminal and place in given.details:
            detail = _cut(f"  └ {printable(given.details[place])}", on.width)
            lines.append(Text(detail, style="dim"))
    if left_out := [title for title, width in zip(titles, widths, strict=True) if width is None]:
        hint = f"(too narrow for: {', '.join(left_out)})"
        lines.append(Text(_cut(hint, on.width), style="dim"))
    return Text("\n").join(lines)


def fitted(columns: Sequence[Column], natural: Sequence[int], available: int) -> list[int | None]:
    """How wide each column becomes, None for one that is left out."""
    least = [
        min(width, max(_NARROWEST, len(column.title))) if column.shrinks else width
        for column, width in zip(columns, natural, strict=True)
    ]
    kept = set(range(len(columns)))

    def spare() -> int:
        return available - sum(least[place] for place in kept) - _GAP * (len(kept) - 1)

    for rank in sorted({column.rank for column in columns} - {0}, reverse=True):
        if spare() >= 0:
            break
        kept -= {place for place in kept if columns[place].rank == rank}
    widths = [least[place] if place in kept else None for place in range(len(columns))]
    left = max(spare(), 0)
    for place in sorted(kept):
        more = min(natural[place] - least[place], left)
        widths[place] = least[place] + more
        left -= more
    return widths


def ago(seconds: float | None) -> str:
    """A duration, empty for None."""
    return "" if seconds is None else spoken(seconds)


def moment(at: datetime | None) -> str:
    """A time in UTC to the second, empty for None."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def printable(value: object) -> str:
    """A value as text that cannot move a cursor."""
    text = "" if value is None else str(value)
    return "".join(character if character.isprintable() else "·" for character in text)


def _sized(text: str, width: int, number: bool) -> str:
    cut = _cut(text, width)
    return " " * (width - cell_len(cut)) + cut if number else set_cell_size(cut, width)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
