"""Tables for people: they fit a terminal, and are whole where no terminal reads them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from baton.cli.tables import Column, Rows, ago, fitted, moment, table


def on(width: int, *, terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, markup=False
    )


def drawn(rows: Rows, width: int = 1_000, *, terminal: bool = False) -> list[str]:
    return table(rows, on(width, terminal=terminal)).plain.splitlines()


def test_cells_align_and_print_nothing_that_moves_the_cursor() -> None:
    rows = Rows([Column("name"), Column("n")], [["a\x1b[2Jb", 5], [None, 1234]])
    assert drawn(rows) == ["name       n", "a·[2Jb     5", "        1234"]
    assert drawn(Rows([Column("name"), Column("n")], [])) == ["name  n"]
    assert (ago(None), moment(None)) == ("", "")


def test_wide_characters_take_two_places() -> None:
    rows = Rows([Column("name"), Column("n")], [["日本", 1], ["abcde", 2]])
    assert drawn(rows) == ["name   n", "日本   1", "abcde  2"]


@pytest.mark.parametrize(
    ("natural", "available", "expected"),
    [
        ([5, 30, 4, 6], 100, [5, 30, 4, 6]),
        ([5, 30, 4, 6], 41, [5, 20, 4, 6]),
        ([5, 30, 4, 6], 31, [5, 10, 4, 6]),
        ([5, 30, 4, 6], 30, [5, 17, 4, None]),
        ([5, 30, 4, 6], 22, [5, 15, None, None]),
        ([5, 30, 4, 6], 10, [5, 10, None, None]),
        ([5, 8, 4, 6], 29, [5, 8, 4, 6]),
    ],
)
def test_what_fits(natural: list[int], available: int, expected: list[int | None]) -> None:
    columns = [Column("a"), Column("b", shrinks=True), Column("c", rank=1), Column("d", rank=2)]
    assert fitted(columns, natural, available) == expected


def test_a_narrow_terminal_shortens_then_leaves_out_and_says_so() -> None:
    columns = [Column("id"), Column("name", shrinks=True), Column("when", rank=1)]
    rows = Rows(columns, [["1" * 8, "x" * 30, "2026-11-28"]], {0: "boom: " + "y" * 90})
    lines = drawn(rows, 30, terminal=True)
    assert lines == [
        "id        name",
        f"11111111  {'x' * 19}…",
        f"  └ boom: {'y' * 19}…",
        "(too narrow for: when)",
    ]
    assert all(len(line) <= 30 for line in lines)
    assert drawn(rows)[1:] == [f"11111111  {'x' * 30}  2026-11-28"]
