"""`python -m examples.demo [folder]`: run the demo, or finish the run that was killed."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import anyio
import asyncpg

from baton import Completion, Engine, WorkflowOutcome, subscribe
from baton.schema import migrate
from baton.testing import embedded_postgres
from examples.demo.graph import drawn
from examples.demo.listing import InputError, Listing, list_files
from examples.demo.progress import Progress
from examples.demo.steps import ReadFiles, build
from examples.demo.tables import read_steps, read_text_result, read_unfinished

HOME = Path(".demo")
QUEUES = {"demo": 2, "files": 8}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 when the workflow completed, 1 when it failed, 2 for an unusable input."""
    options = _options(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    ReadFiles.pace = options.pace
    try:
        listing = list_files(options.folder)
    except InputError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    home = HOME.absolute()
    home.mkdir(exist_ok=True)
    (home / ".gitignore").write_text("*\n")
    logging.basicConfig(
        filename=home / "demo.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    try:
        with embedded_postgres(home / "postgres") as dsn:
            return asyncio.run(_run(listing, home, dsn))
    except KeyboardInterrupt:
        print("\nstopped; run it again to finish the same workflow", file=sys.stderr)
        return 130


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo",
        description="Reads a folder of files as one workflow, and writes a report.",
    )
    parser.add_argument("folder", nargs="?", type=Path, help="default: this repository")
    parser.add_argument(
        "--pace",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait after each file, to watch it",
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.pace <= 60:
        parser.error("--pace must be 0 to 60 seconds")
    return options


async def _run(listing: Listing, home: Path, dsn: str) -> int:
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    try:
        found = await _unfinished(connection, dsn, listing)
        if found is None:
            workflow = build(listing, home)
            workflow_id, states = workflow.workflow_id, dict.fromkeys(workflow.step_names, "new")
        else:
            workflow, workflow_id = None, found
            states = {step.name: step.state for step in await read_steps(connection, workflow_id)}
        progress = Progress(workflow_id, states, sys.stdout)
        _introduce(listing, progress, workflow_id, len(states), continued=workflow is None)
        unsubscribe = subscribe(progress)
        try:
            # Short times, so that what a killed run left behind is taken over within seconds.
            async with Engine(
                dsn,
                queues=QUEUES,
                heartbeat_interval=1,
                rescue_after=3,
                rescue_interval=0.5,
                shutdown_grace=2,
            ) as engine:
                if workflow is not None:
                    await workflow.insert()
                completion = await _wait(engine, workflow_id, progress)
        finally:
            unsubscribe()
            progress.close()
        return await _conclude(connection, completion)
    finally:
        await connection.close()


async def _unfinished(
    connection: asyncpg.Connection[asyncpg.Record], dsn: str, listing: Listing
) -> UUID | None:
    """The workflow to be finished, if there is one for this very input; others are cancelled."""
    found: UUID | None = None
    for workflow_id, fingerprint in (await read_unfinished(connection)).items():
        if fingerprint == listing.fingerprint:
            found = workflow_id
            continue
        print(f"cancelling unfinished workflow {workflow_id}: the input is not the same any more")
        async with Engine(dsn) as client:
            await client.workflow(workflow_id).cancel("the demo was run again with another input")
    return found


async def _wait(engine: Engine, workflow_id: UUID, progress: Progress) -> Completion:
    drawing = asyncio.create_task(progress.redraw())
    try:
        return await engine.workflow(workflow_id).completion()
    finally:
        drawing.cancel()
        with suppress(asyncio.CancelledError):
            await drawing


def _introduce(
    listing: Listing, progress: Progress, workflow_id: UUID, steps: int, *, continued: bool
) -> None:
    more = "" if listing.complete else " (there are more: the demo stops here)"
    progress.say(f"{len(listing.files):,} files in {listing.root}{more}")
    if continued:
        done = f"{progress.done} of {steps} steps are done"
        progress.say(f"continuing unfinished workflow {workflow_id}: {done}")
    else:
        progress.say(f"new workflow {workflow_id}: {steps} steps")


async def _conclude(connection: asyncpg.Connection[asyncpg.Record], completion: Completion) -> int:
    print(drawn(await read_steps(connection, completion.workflow_id)))
    seconds = completion.duration.total_seconds()
    print(
        f"\nworkflow {completion.workflow_id} {completion.outcome}, {seconds:.2f} s after insertion"
    )
    if completion.outcome is not WorkflowOutcome.COMPLETED:
        print(f"failed steps: {', '.join(completion.failed_steps)}")
        return 1
    path = await read_text_result(connection, completion.workflow_id, "report")
    print(f"report: {path}\n")
    print(await anyio.Path(str(path)).read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
