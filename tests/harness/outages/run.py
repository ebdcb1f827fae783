"""One trouble from its beginning to the end of all that was under way."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from re import split, sub
from time import monotonic

from baton import Baton, Engine, Plugin, Step, insert_all, schema, worker
from baton.engine import EngineOptions
from baton.errors import BatonError
from outages.troubles import TROUBLES
from support.databases import create_database, drop_database
from support.restarting import RestartingServer
from support.running import fast, opened

WORKFLOWS = 20
PATIENCE = 60.0
# Whoever meets the trouble tells of it, and again at each of its turns, every half second; all the
# running jobs, numbers aside, are one teller. There is some time before and after it.
LINES_AT_ONCE, LINES_A_SECOND = 3, 2

_NOT_AT_ONCE = """
SELECT format('%s is %s at attempt %s', worker, state, attempt) FROM baton.oban_jobs
WHERE attempt <> 1 OR state <> 'completed' OR to_jsonb(errors) <> '[]'
"""

OPTIONS: EngineOptions = {
    "poll_interval": 0.2,
    "stage_interval": 0.2,
    "rescue_interval": 0.5,
    "heartbeat_interval": 0.5,
    "acquire_timeout": 1.0,
    "pool_size": 5,
    "queues": {"default": WORKFLOWS},
}


@dataclass
class Report:
    """What a trouble came to. `faults` are what must not be."""

    trouble: str
    seconds: float
    recovered_after: float = 0.0
    lines: int = 0
    # The number of lines of each teller.
    said: dict[str, int] = field(default_factory=dict[str, int])
    refused: dict[str, int] = field(default_factory=dict[str, int])
    faults: list[str] = field(default_factory=list[str])


@contextmanager
def _listening() -> Iterator[list[logging.LogRecord]]:
    """What Baton says."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    logging.getLogger("baton").addHandler(handler)
    try:
        yield records
    finally:
        logging.getLogger("baton").removeHandler(handler)


_go: dict[str, asyncio.Event] = {}


@worker(name="outages.waits")
async def waits(step: Step, *, run: str) -> int:
    await _go[run].wait()
    given: int = await step.result("first")
    return given


@worker(name="outages.follows")
async def follows(step: Step) -> int:
    return step.attempt


async def endure(server: RestartingServer, trouble: str, seconds: float) -> Report:
    """Have a trouble last so long, with steps that end and others that come due meanwhile."""
    report = Report(trouble, seconds)
    dsn = await create_database(server.dsn)
    await schema.migrate(dsn)
    with _listening() as records:
        async with fast(dsn, plugins=[Plugin(interval=0.5)], **OPTIONS) as engine:
            workflows = await _begun(dsn, engine, trouble, seconds)
            async with TROUBLES[trouble](server, engine):
                _go[trouble].set()
                report.refused = await _refusals(engine, seconds)
            calm = monotonic()
            for workflow in workflows:
                ended = await engine.workflow(workflow.workflow_id).completion(timeout=PATIENCE)
                if ended.outcome != "completed":
                    report.faults.append(f"{workflow.workflow_id} {ended.outcome}")
            report.recovered_after = round(monotonic() - calm, 2)
            async with opened(dsn) as tables:
                report.faults += await tables.violations()
                report.faults += [row[0] for row in await tables.rows(_NOT_AT_ONCE)]
    await drop_database(server.dsn, dsn)
    _judge(report, records)
    return report


async def _begun(dsn: str, engine: Engine, trouble: str, seconds: float) -> list[Baton]:
    """Workflows of which one step each runs, and one that comes due in the middle."""
    _go[trouble] = asyncio.Event()
    workflows = [
        Baton()
        .add("first", follows.new())
        .add("a", waits.new(run=trouble), deps=["first"])
        .add("b", follows.new(), deps=["a"])
        for _ in range(WORKFLOWS)
    ]
    due = Baton().add("a", follows.new(), schedule_in=seconds / 2)
    await insert_all([*workflows, due], engine=engine)
    async with opened(dsn) as tables:
        for workflow in workflows:
            await tables.until(workflow, "a", "executing")
    return [*workflows, due]


async def _refusals(engine: Engine, seconds: float) -> dict[str, int]:
    """What callers are told for so long."""
    refused = Counter[str]()
    end = monotonic() + seconds
    while monotonic() < end:
        refused[await _refusal(engine)] += 1
        # Callers come at the pace of callers.
        await asyncio.sleep(min(0.5, seconds / 4))
    return dict(refused)


async def _refusal(engine: Engine) -> str:
    try:
        await Baton().add("a", follows.new()).insert(engine=engine)
    except BatonError as error:
        return type(error).__name__
    except Exception as error:
        return f"not ours: {error!r}"
    return "inserted"


def _teller(message: str) -> str:
    """Who tells, whatever the number of the job and the error."""
    return sub(r"\d+", "N", split(r" failed|: the database|: no connection", message)[0])[:60]


def _judge(report: Report, records: Sequence[logging.LogRecord]) -> None:
    tellers = Counter(_teller(record.getMessage()) for record in records)
    report.lines, report.said = len(records), dict(tellers)
    allowed = LINES_AT_ONCE + LINES_A_SECOND * report.seconds
    report.faults += [
        f"{count} lines of {teller!r} were logged"
        for teller, count in tellers.items()
        if count > allowed
    ]
    report.faults += [f"a traceback: {r.getMessage()[:200]}" for r in records if r.exc_info]
    if set(report.refused) <= {"inserted"}:
        report.faults.append("no caller met it")
    report.faults += [
        f"a caller was told {what}" for what in report.refused if what.startswith("not ours")
    ]
