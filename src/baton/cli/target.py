"""The engine that the operator names on the command line."""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from baton.cli.reporting import MISUSED, fail, fail_with_traceback
from baton.core.dsn import read_dsn
from baton.engine import Engine
from baton.store.store import store_of
from baton.workers import registry

_log = logging.getLogger("baton.worker")

_SPEC = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")


def find_engine(spec: str) -> Engine:
    """The engine at `module:attribute`, or the one that the function there returns. Modules are
    looked for in the current folder too.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        fail(f"{spec!r} is not module:attribute, such as myapp.workers:engine", MISUSED)
    module, attribute = match.groups()
    found = _attribute(module, attribute)
    if not isinstance(found, Engine):
        found = _called(spec, found)
    if found.state != "new":
        fail(
            f"the engine at {spec} is {found.state}; it has to be one that was not started", MISUSED
        )
    return found


def overridden(
    engine: Engine,
    dsn: str | None,
    schema: str | None,
    queues: Mapping[str, int] | None,
    oban_schema: str | None = None,
) -> Engine:
    """The engine itself, or another with its settings where the command line says otherwise."""
    own = engine.settings
    database = engine.database
    dsn = dsn or database.dsn
    schema = schema or database.schema
    oban_schema = oban_schema or database.oban_schema
    queues = own.queues if queues is None else queues
    given = (dsn, schema, oban_schema, queues)
    if given == (database.dsn, database.schema, database.oban_schema, own.queues):
        return engine
    if type(engine) is not Engine:
        fail(
            f"a {type(engine).__name__} cannot be changed by --dsn, --schema, --oban-schema "
            "or --queues",
            MISUSED,
        )
    options: dict[str, Any] = {item.name: getattr(own, item.name) for item in fields(own)}
    options["queues"] = queues
    connector = store_of(engine).connector
    # A password in the DSN is that of whoever gave it.
    password = None if read_dsn(dsn).has_password else connector.password
    return Engine(
        dsn,
        schema=schema,
        oban_schema=oban_schema,
        plugins=engine.plugins,
        password=password,
        pooled=connector.pooled,
        lifespan=engine.lifespan,
        **options,
    )


def warn_of_idleness(engine: Engine, spec: str) -> None:
    """Log why this engine will perform nothing, where that can be seen before it starts."""
    if not engine.settings.queues:
        if not engine.plugins:
            _log.warning("%s has no queues: it performs nothing; give --queues default=10", spec)
    elif not registry.names():
        _log.warning(
            "no worker is registered in this process: import their modules in %r",
            spec.partition(":")[0],
        )


def _attribute(module: str, attribute: str) -> object:
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            fail_with_traceback(f"importing {module} failed")
        fail(f"there is no module {error.name!r}, neither installed nor below this folder", MISUSED)
    except Exception:
        fail_with_traceback(f"importing {module} failed")
    try:
        return getattr(found, attribute)
    except AttributeError:
        engines = [repr(n) for n, value in vars(found).items() if isinstance(value, Engine)]
        kind = "engine" if len(engines) == 1 else "engines"
        has = f"; it has the {kind} {', '.join(engines)}" if engines else ""
        fail(f"the module {module} has no {attribute!r}{has}", MISUSED)


def _called(spec: str, found: object) -> Engine:
    expected = "expected an Engine, or a function without arguments that returns one"
    if not callable(found):
        fail(f"{spec} is a {type(found).__name__}; {expected}", MISUSED)
    try:
        inspect.signature(found).bind()
    except TypeError:
        fail(f"{spec} needs arguments; {expected}", MISUSED)
    try:
        made = found()
    except Exception:
        fail_with_traceback(f"{spec} failed")
    if inspect.iscoroutine(made):
        made.close()
    if not isinstance(made, Engine):
        fail(f"{spec} returned a {type(made).__name__}; {expected}", MISUSED)
    return made
