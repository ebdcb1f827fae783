"""The command line itself: options, help, and what they lead to."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from baton import schema as schemas
from baton.cli.health import parse_address
from baton.cli.insights import app as looking
from baton.cli.many import app as on_many
from baton.cli.options import DSN_VARIABLE, Dsn, ObanSchema, Schema
from baton.cli.options_of_worker import (
    Format,
    HealthAddress,
    OwnObanSchema,
    OwnSchema,
    Queues,
    Reload,
    Target,
    Verbose,
)
from baton.cli.reloading import run_reloading
from baton.cli.reporting import FAILED, MISUSED, checked_dsn, fail, reported, say
from baton.cli.reports import Report, notice, set_up_logging
from baton.cli.serving import serve
from baton.cli.target import find_engine, overridden, warn_of_idleness
from baton.cli.verbs import app as acting
from baton.store.sql import DEFAULT_SCHEMA
from baton.words.argument_errors import InvalidOptionError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)

app.add_typer(looking)
app.add_typer(acting)
app.add_typer(on_many)


def run() -> None:
    """Run the command that the process's arguments name."""
    app(prog_name="baton")


@app.callback(invoke_without_command=True)
def about(
    version_only: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True)
    ] = False,
) -> None:
    """Baton: DAG workflows of jobs on PostgreSQL."""
    if version_only:
        typer.echo(version("baton-workflows"))
        raise typer.Exit


@app.command()
def migrate(
    dsn: Dsn = None,
    schema: Schema = DEFAULT_SCHEMA,
    oban_schema: ObanSchema = None,
    to: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Migrate up to this version.")
    ] = None,
    down: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Go back to this version; 0 removes Baton."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--print", help="Print the SQL and leave the database alone.")
    ] = False,
    since: Annotated[
        int | None, typer.Option("--from", min=0, metavar="N", help="Where the printed SQL starts.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only look whether all is right.")
    ] = False,
) -> None:
    """Bring the database to the version that this Baton needs.

    Example: baton migrate --dsn postgresql://user:password@localhost/app

    Exit status: 0 done, 1 failed or not right, 2 used wrongly.
    """
    if sum((to is not None, down is not None, verify)) > 1 or (show and verify):
        fail("--to, --down and --verify exclude each other, --print and --verify too", MISUSED)
    if since is not None and not show:
        fail("--from goes with --print", MISUSED)
    versions = {"--to": to, "--down": down, "--from": since}
    if show:
        with reported(""), _named_versions(versions):
            target = to if down is None else down
            start = (0 if down is None else schemas.latest_version()) if since is None else since
            typer.echo(schemas.migration_sql(start, target, schema, oban_schema=oban_schema))
        return
    dsn = checked_dsn(dsn)
    with reported(dsn), _named_versions(versions):
        asyncio.run(
            _verify(dsn, schema, oban_schema)
            if verify
            else _move(dsn, schema, oban_schema, to, down)
        )


@app.command()
def worker(
    target: Target,
    dsn: Dsn = None,
    schema: OwnSchema = None,
    oban_schema: OwnObanSchema = None,
    queues: Queues = None,
    verbose: Verbose = 0,
    log_format: Format = None,
    health: HealthAddress = None,
    reload: Reload = False,
) -> None:
    """Run an engine until SIGINT or SIGTERM; a second signal ends at once.

    A DSN given here takes the place of the engine's own. It logs to the standard error: its start,
    what goes wrong, and once a minute how much it did.

    Exit status: 0 stopped as asked, 1 failed, 2 used wrongly, 128 + signal after a second signal.
    """
    limits = None if queues is None else _limits(queues)
    address = None if health is None else parse_address(health)
    if reload:
        run_reloading([argument for argument in sys.argv[1:] if argument != "--reload"])
        return
    if dsn is not None:
        # For the module, which may look for it there.
        os.environ[DSN_VARIABLE] = dsn = checked_dsn(dsn)
    engine = find_engine(target)
    with reported(dsn or engine.database.dsn):
        engine = overridden(engine, dsn, schema, limits, oban_schema)
        set_up_logging(verbose, log_format)
        warn_of_idleness(engine, target)
        serve(engine, Report(verbose), address, notice(log_format))


@app.command("export-dashboards")
def export_dashboards(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to write; made if it does not exist.")
    ],
) -> None:
    """Write the Grafana dashboard and the Prometheus alert rules into a folder.

    Files of the same names there are replaced.
    """
    source = Path(__file__).parents[1] / "contrib" / "otel" / "dashboards"
    try:
        shutil.copytree(source, folder, dirs_exist_ok=True)
    except OSError as error:
        fail(f"the dashboards cannot be written: {error}")
    for path in sorted(source.rglob("*.*")):
        typer.echo(folder / path.relative_to(source))


@contextmanager
def _named_versions(given: Mapping[str, int | None]) -> Generator[None]:
    """Call a version that there is not by the option of the command that gives it."""
    try:
        yield
    except InvalidOptionError as error:
        for option, version in given.items():
            if version is not None and version == error.given:
                fail(f"{option} {version}: expected {error.expected}", MISUSED)
        raise


async def _verify(dsn: str, schema: str, oban_schema: str | None) -> None:
    report = await schemas.verify(dsn, schema=schema, oban_schema=oban_schema)
    for problem in report.problems:
        say(problem)
    for warning in report.warnings:
        say(f"warning: {warning}")
    if not report.ok:
        fail(f"schema {schema!r} is not what this Baton needs", FAILED)
    typer.echo(f"schema {schema!r} is right, at version {report.version}")


async def _move(
    dsn: str, schema: str, oban_schema: str | None, to: int | None, down: int | None
) -> None:
    if down is None:
        moved = await schemas.migrate(dsn, schema=schema, oban_schema=oban_schema, to=to)
    else:
        moved = await schemas.rollback(dsn, schema=schema, oban_schema=oban_schema, to=down)
    now = await schemas.current_version(dsn, schema=schema, oban_schema=oban_schema)
    if to is not None and now > to:
        fail(f"schema {schema!r} is at version {now}; to go back to {to}: --down {to}")
    done = "applied" if down is None else "reverted"
    what = f"{done} {', '.join(map(str, moved))}" if moved else "nothing to do"
    typer.echo(f"schema {schema!r} is at version {now}: {what}")


def _limits(text: str) -> dict[str, int]:
    limits: dict[str, int] = {}
    for part in text.split(","):
        name, _, limit = part.strip().rpartition("=")
        if not name or not limit.isdecimal() or name in limits:
            fail(f"--queues {text!r}: expected NAME=LIMIT,…, such as default=20,io=50", MISUSED)
        limits[name] = int(limit)
    return limits
