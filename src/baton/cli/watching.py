"""Show an answer once, or again and again until the operator has seen enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from baton.cli.tables import console
from baton.words.database_errors import UnavailableError

T = TypeVar("T")

INTERVAL = 2.0
"""Seconds between two looks."""

Watch = Annotated[
    bool,
    typer.Option("--watch", "-w", help=f"Look again every {INTERVAL:.0f} s until Ctrl-C."),
]


def show(picture: RenderableType | str) -> None:
    """Print a picture; a text as it is, for programs."""
    if isinstance(picture, str):
        typer.echo(picture)
    else:
        console().print(picture, soft_wrap=True)


async def watch(
    ask: Callable[[], Awaitable[T]], picture: Callable[[T], RenderableType | str]
) -> None:
    """Ask and show until Ctrl-C: on a terminal in place, on a screen of its own; elsewhere one
    answer after the other. An answer that does not come while the database is away is waited for.
    """
    on = console()
    if not on.is_terminal:
        while True:
            show(picture(await ask()))
            await asyncio.sleep(INTERVAL)
    with Live(console=on, screen=True, auto_refresh=False) as live:
        while True:
            try:
                drawn = picture(await ask())
            except UnavailableError as error:
                drawn = Text(str(error), style="red")
            now = Text(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, every {INTERVAL:.0f} s", "dim")
            live.update(Group(now, Text(), drawn), refresh=True)
            await asyncio.sleep(INTERVAL)
