"""The periodic sweep: rescue, announce, prune. It repairs what no prompt path could see; any number
of sweepers may work on one database at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from time import monotonic

from baton.core.checks import flag, seconds
from baton.migrating.schema_check import require_schema
from baton.runs.deadlines import Deadlines
from baton.runtime.tasks import END_TIMEOUT, is_cancelled
from baton.store.connecting import Password
from baton.store.database import Database, given_store
from baton.store.faults import holds_up_all
from baton.store.pruning import Pruned
from baton.store.store import Store
from baton.store.sweeping import sweep_lock
from baton.sweep.observe import Observer
from baton.sweep.prune import Pruner
from baton.sweep.repair import Sweeper
from baton.sweep.without_engine import rescuing
from baton.telemetry import seam
from baton.waits.expire import Expiry
from baton.waits.spread import Handing
from baton.words.argument_errors import InvalidOptionError
from baton.words.config import EngineSettings
from baton.words.events import RowsPruned, SweepFinished
from baton.words.states import TERMINAL_STATES, JobState

_log = logging.getLogger("baton")

LONGEST_SWEEP = 3_600.0
EVENT_MAX_AGE = 30 * 86_400.0


class Plugin:
    """Sweeps every `interval` seconds: settles steps whose jobs ended or vanished unnoticed (and
    cancels what waited for those that vanished), announces every ended workflow that nobody
    announced, and prunes.

    `prune` deletes Baton's rows of finished and announced workflows once their job rows are gone,
    at most `prune_limit` rows of each table in a sweep. With them go what jobs outside workflows
    recorded, once their rows are gone; and events sent by a key `event_max_age` (seconds or a
    timedelta, by default 30 days; None: never) ago that no wait has received, or none that is left:
    their `dedupe_id` is forgotten with them. `debug_log_max_age` (seconds or a
    timedelta) deletes what steps captured so long ago, whatever their jobs do. `job_max_age`
    deletes the job rows too: by state (completed, cancelled, discarded), seconds since their end;
    never those of a workflow that has not ended. Leave it out where another Oban runtime prunes its
    jobs.

    Give it to an engine (`Engine(…, plugins=[Plugin(prune=True)])`), or run it alone in a task
    group of yours: `tg.start_soon(Plugin().run, database)`. One object serves one database.
    Raises InvalidOptionError.
    """

    def __init__(
        self,
        interval: float = 60.0,
        prune: bool = False,
        prune_limit: int = 10_000,
        debug_log_max_age: float | timedelta | None = None,
        job_max_age: Mapping[str, float] | None = None,
        event_max_age: float | timedelta | None = EVENT_MAX_AGE,
    ) -> None:
        self.interval = _interval(interval)
        self._prune = flag("prune", prune)
        self._observer = Observer()
        self._sweeper = Sweeper()
        self._expiry = Expiry()
        self._handing = Handing()
        self._deadlines = Deadlines()
        self._pruner = Pruner(_limit(prune_limit), _ages(job_max_age))
        self._prunes_jobs = bool(job_max_age)
        self._debug_log_age = _age("debug_log_max_age", debug_log_max_age)
        self._event_age = _age("event_max_age", event_max_age)

    async def run(
        self,
        database: Database | str,
        *,
        notify: bool = True,
        password: Password | None = None,
        pooled: bool = False,
    ) -> None:
        """Sweep until cancelled, without an engine: also rescues the jobs of dead engines, under a
        heartbeat of its own. `database` is an open or closed Database, or a connection string, to
        which `password` and `pooled` belong as they do to an engine's.

        What fails is logged and tried again in the next sweep. Raises UnavailableError when the
        database cannot be reached at the start, SchemaMissingError and SchemaMismatchError;
        InvalidArgumentError for another `database`.
        """
        settings = EngineSettings(name="plugin", notify=notify)
        if isinstance(database, str):
            own = Store(database, password=password, pooled=pooled)
        else:
            own = given_store(database)
        await own.open()
        try:
            await require_schema(own)
            async with rescuing(own, settings) as rescue:
                while True:
                    for work in (rescue, lambda: sweep_in_turn(self, own, settings)):
                        try:
                            await work()
                        except Exception as error:
                            # However it arrives: the driver turns some cancellations into errors.
                            if is_cancelled():
                                raise asyncio.CancelledError from error
                            _log.warning("the sweep failed, trying again: %r", error)
                    await asyncio.sleep(self.interval * random.uniform(0.9, 1.1))
        finally:
            if isinstance(database, str):
                await own.close(END_TIMEOUT)

    async def sweep(self, database: Database, settings: EngineSettings | None = None) -> None:
        """Sweep once. Correct with any number of sweepers at once; `run` and the engine take turns
        only to save work. Raises EventLoopError, InvalidArgumentError.
        """
        store = given_store(database)
        store.expect_own_loop()
        await self._sweep(store, settings or EngineSettings(name="plugin"))

    async def _sweep(self, database: Store, own: EngineSettings) -> None:
        begun = monotonic()
        failed: list[str] = []
        is_told = False

        async def part(name: str, work: Callable[[], Awaitable[None]]) -> None:
            # What one part stumbles over must not keep the others from their work. That the
            # database is away, all parts would tell alike: the first one does.
            nonlocal is_told
            try:
                await work()
            except Exception as error:
                failed.append(name)
                is_away = holds_up_all(error)
                if not (is_away and is_told):
                    _log.warning("the part %r of the sweep failed: %r", name, error)
                is_told = is_told or is_away

        await part("settle", lambda: self._sweeper.settle(database, own))
        await part("announce", lambda: self._sweeper.announce(database, own))
        await part("match", lambda: self._sweeper.match(database))
        await part("expire", lambda: _done(self._expiry.run(database, own)))
        await part("deadlines", lambda: _done(self._deadlines.run(database, own)))
        await part("hand out", lambda: _done(self._handing.run(database, own)))
        age = self._debug_log_age
        if age is not None:
            await part(
                "prune logs",
                lambda: _emit(database.engine, self._pruner.prune_debug_logs(database, age)),
            )
        if self._prunes_jobs:
            await part(
                "prune jobs", lambda: _emit(database.engine, self._pruner.prune_jobs(database))
            )
        if self._prune:
            await part(
                "prune", lambda: _emit(database.engine, self._pruner.prune_workflows(database))
            )
            await part(
                "prune loose rows",
                lambda: _emit(database.engine, self._pruner.prune_loose(database)),
            )
            kept = self._event_age
            if kept is not None:
                await part(
                    "prune events",
                    lambda: _emit(database.engine, self._pruner.prune_key_events(database, kept)),
                )
        if seam.active:
            seam.emit(SweepFinished(database.engine, monotonic() - begun, tuple(failed)))


async def sweep_in_turn(plugin: Plugin, database: Store, settings: EngineSettings) -> None:
    """Sweep once, unless somebody else does at this moment; and tell what the queues hold."""
    try:
        await plugin._observer.observe(database)
    except Exception as error:
        _log.warning("the queues could not be looked at: %r", error)
    async with sweep_lock(database) as taken:
        if taken:
            await plugin._sweep(database, settings)


async def _done(work: Awaitable[object]) -> None:
    await work


async def _emit(engine: str | None, pruning: Awaitable[Pruned]) -> None:
    pruned = await pruning
    tables = {table: count for table, count in pruned._asdict().items() if count}
    if tables:
        _log.info("pruned %s", ", ".join(f"{count} of {table}" for table, count in tables.items()))
        if seam.active:
            seam.emit(RowsPruned(engine, sum(tables.values()), tables))


def _interval(given: object) -> float:
    interval = seconds("interval", given)
    if not 0 < interval <= LONGEST_SWEEP:
        raise InvalidOptionError("interval", given, "a number of seconds above 0, at most an hour")
    return interval


def _age(option: str, given: float | timedelta | None) -> float | None:
    return None if given is None else seconds(option, given)


def _limit(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise InvalidOptionError("prune_limit", given, "a whole number of at least 1")
    return given


def _ages(given: Mapping[str, float] | None) -> dict[JobState, float]:
    expected = "seconds by state, such as {'completed': 86_400, 'discarded': 604_800}"
    if given is None:
        return {}
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidOptionError("job_max_age", given, expected)
    for state in given:
        if state not in TERMINAL_STATES:
            ends = ", ".join(sorted(TERMINAL_STATES))
            wrong = f"{expected}; {state!r} is not a state that ends: {ends}"
            raise InvalidOptionError("job_max_age", given, wrong)
    return {JobState(state): seconds("job_max_age", age) for state, age in given.items()}


def checked_plugins(given: object) -> tuple[Plugin, ...]:
    """The plugins of an engine. Raises InvalidOptionError."""
    expected = "a list of plugins: plugins=[Plugin()]"
    if isinstance(given, Plugin) or not isinstance(given, Iterable):
        raise InvalidOptionError("plugins", given, expected)
    plugins = tuple(given)
    for plugin in plugins:
        if not isinstance(plugin, Plugin):
            raise InvalidOptionError("plugins", plugin, expected)
    return plugins
