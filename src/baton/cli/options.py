"""The options that every command has."""

from __future__ import annotations

from typing import Annotated

import typer

DSN_VARIABLE = "BATON_DATABASE_URL"

Dsn = Annotated[
    str | None,
    typer.Option(
        envvar=DSN_VARIABLE,
        show_envvar=True,
        help="Connection string of the database; the variable keeps its password out of `ps`.",
    ),
]
Schema = Annotated[str, typer.Option(help="Schema of Baton's tables.")]
