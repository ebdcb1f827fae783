"""Rows as a table for people, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from baton.core.durations import spoken


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be, numbers to the right; what cannot be printed is
    shown as "·".
    """
    cells = [list(titles), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numbers = [
        bool(rows) and all(isinstance(row[place], int) for row in rows)
        for place in range(len(titles))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in cells
    )


def ago(seconds: float | None) -> str:
    """A duration, empty for None."""
    return "" if seconds is None else spoken(seconds)


def moment(at: datetime | None) -> str:
    """A time in UTC to the second, empty for None."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return "".join(character if character.isprintable() else "·" for character in text)
