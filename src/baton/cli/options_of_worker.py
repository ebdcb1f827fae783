"""The options of `baton worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from baton.cli.options import OBAN_SCHEMA_VARIABLE, SCHEMA_VARIABLE
from baton.cli.reports import LogFormat

Target = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:ATTRIBUTE",
        help="An Engine not yet started, or a function without arguments that returns one.",
    ),
]
OwnSchema = Annotated[
    str | None,
    typer.Option(
        envvar=SCHEMA_VARIABLE,
        show_envvar=True,
        help="Schema of Baton's tables, in place of the engine's own.",
    ),
]
OwnObanSchema = Annotated[
    str | None,
    typer.Option(
        envvar=OBAN_SCHEMA_VARIABLE,
        show_envvar=True,
        help="Schema of oban_jobs, in place of the engine's own.",
    ),
]
Queues = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=LIMIT,…",
        help="Queues to run, in place of the engine's: default=20,io=50.",
    ),
]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Log ended steps; twice: all events.")
]
Format = Annotated[
    LogFormat | None,
    typer.Option("--log-format", help="How to log, in place of what the module set up."),
]
HealthAddress = Annotated[
    str | None,
    typer.Option("--health", metavar="[HOST:]PORT", help="Answer GET /livez and /readyz here."),
]
Reload = Annotated[
    bool, typer.Option("--reload", help="Start anew when a Python file in this folder changes.")
]
