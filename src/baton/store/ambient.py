"""The running engines of this process, so that `insert()` and others need not be handed one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Protocol, TypeAlias, runtime_checkable

from baton.store.sql import Sql
from baton.store.store import HasStore, Store, store_of
from baton.words.argument_errors import InvalidArgumentError
from baton.words.config import EngineSettings
from baton.words.engine_errors import EngineStateError, NoEngineError


class Instance(HasStore):
    """An engine, as what stands below it uses it."""

    settings: EngineSettings


EngineOrName: TypeAlias = Instance | str
"""What `engine=` takes: an Engine, or the name of a running one."""


@runtime_checkable
class Wakes(Protocol):
    """An instance that runs jobs."""

    def wake(self, queue: str) -> None: ...


# Requests of a web server run in tasks that do not descend from the one that started the engine, so
# a context variable alone would miss them; engines in the loops of several threads must not be
# mixed up.
_running: list[tuple[asyncio.AbstractEventLoop, Instance]] = []
_nearest: ContextVar[Instance | None] = ContextVar("baton_engine", default=None)


def enter(instance: Instance) -> None:
    """Make a running engine ambient: by its name in the running loop, and as the default for the
    current task and the tasks it starts.
    """
    _running.append((asyncio.get_running_loop(), instance))
    _nearest.set(instance)


def enter_engine_of(database: Store) -> None:
    """Make the running engine of a database, if there is one, the default for the current task:
    whoever began the task does not lend it an engine of its own.
    """
    for instance in running():
        if store_of(instance) is database:
            _nearest.set(instance)


def leave(instance: Instance) -> None:
    """Forget an engine that stops; harmless when it is not ambient."""
    for entry in [entry for entry in _running if entry[1] is instance]:
        _running.remove(entry)
    if _nearest.get() is instance:
        _nearest.set(None)


def current(engine: EngineOrName | None = None) -> Instance:
    """The engine given, the one of that name, or the ambient one: the engine entered in this task
    or an ancestor of it, else the one named "default", else the only one there is in this loop.

    Of several with one name the last that started counts, if all of them work on one schema of one
    database. Raises NoEngineError, InvalidArgumentError.
    """
    if isinstance(engine, Instance):
        return engine
    if not isinstance(engine, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgumentError(
            "engine", engine, "an Engine, the name of a running one, or nothing"
        )
    here = running()
    nearest = _nearest.get()
    if engine is None and nearest is not None and any(nearest is instance for instance in here):
        return nearest
    of_name = [one for one in here if one.settings.name == (engine or "default")]
    if len({_place(store_of(one)) for one in of_name}) == 1:
        return of_name[-1]
    if engine is None and len(here) == 1:
        return here[0]
    raise NoEngineError(
        engine or "default",
        [instance.settings.name for instance in here],
        [instance.settings.name for _, instance in _running if instance not in here],
    )


def opened(call: str, engine: EngineOrName | None = None) -> Instance:
    """`current`, for a call that uses the engine's own connections: from the moment when its first
    step may run until its pool is closed. Raises EngineStateError too.
    """
    instance = current(engine)
    store = store_of(instance)
    state = store.state
    if state != "open":
        raise EngineStateError("stopped" if state == "closed" else state, "running", call)
    store.expect_own_loop(f"engine {instance.settings.name!r}")
    return instance


def named(call: str, engine: EngineOrName | None, conn: object) -> Instance | None:
    """The engine of a call that may be made on the caller's connection: there it only names the
    schema, and no engine need run; without `conn` it is `opened`.
    """
    if conn is None:
        return opened(call, engine)
    return None if engine is None and not running() else current(engine)


def engine_name(instance: Instance | None) -> str | None:
    """The name that the events of what is done through this engine, or through none, carry."""
    return None if instance is None else store_of(instance).engine


def wake(database: Store, queues: Iterable[str]) -> None:
    """Have the engines of this loop that work on this database look at queues that got jobs: sooner
    than a notification comes back to them.
    """
    for queue in queues:
        for instance in running():
            same = _place(store_of(instance)) == _place(database)
            if same and isinstance(instance, Wakes):
                instance.wake(queue)


def _place(store: Store) -> tuple[str, Sql]:
    return store.dsn, store.sql


def running() -> list[Instance]:
    """The engines of the running loop, in the order they started."""
    loop = asyncio.get_running_loop()
    return [instance for running_in, instance in _running if running_in is loop]
