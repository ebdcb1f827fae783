"""The environments: what each consists of, and how it is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from baton.store.session import server_settings
from environments.servers import pooler, server
from environments.suite import (
    NOT_IN_ANOTHER_SCHEMA,
    NOT_THROUGH_A_POOLER,
    NOT_WITH_A_WRONG_CLOCK,
    POOLER,
)
from environments.tools import PYTHONS, SERVERS, Tools
from support.databases import execute, run_apart


@dataclass(frozen=True)
class Place:
    """Where and how the tests run. `facts` are what must be true there, see `applied`; `left_out`
    are expressions of pytest's -k.
    """

    dsn: str
    facts: Mapping[str, str]
    python: Path = Path(sys.executable)
    plugins: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    left_out: Sequence[str] = ()


@contextmanager
def _version(version: str, tools: Tools) -> Iterator[Place]:
    with server(tools.server(version), {}) as dsn:
        yield Place(dsn, {"server": version})


@contextmanager
def _python(version: str, tools: Tools) -> Iterator[Place]:
    python = tools.python(version)
    with server(tools.any_server(), {}) as dsn:
        yield Place(dsn, {"python": version}, python)


@contextmanager
def _settings(settings: Mapping[str, str], tools: Tools) -> Iterator[Place]:
    with server(tools.any_server(), {}) as dsn:
        # Of the role: the tests' databases have settings of their own, which are weaker.
        for name, value in settings.items():
            run_apart(execute(dsn, f"ALTER ROLE postgres SET {name} = '{value}'"))
        yield Place(dsn, settings)


@contextmanager
def _plugin(
    name: str, facts: Mapping[str, str], left_out: Sequence[str], tools: Tools
) -> Iterator[Place]:
    with server(tools.any_server(), {}) as dsn:
        yield Place(dsn, facts, plugins=[f"environments.{name}"], left_out=left_out)


@contextmanager
def _pooler(
    version: str | None, isolation: str, tools: Tools, *, forgetful: bool = False
) -> Iterator[Place]:
    program = tools.pooler(version)
    forgotten = _SETTINGS if forgetful else ()
    with (
        server(tools.any_server(), {"default_transaction_isolation": isolation}) as dsn,
        pooler(program, dsn, forgotten) as folder,
    ):
        yield Place(
            dsn,
            {
                "pooled": "True",
                "settings": "forgotten" if forgetful else "refused",
                "default_transaction_isolation": isolation,
            },
            plugins=["environments.through_pooler"],
            variables={POOLER: str(folder)},
            left_out=NOT_THROUGH_A_POOLER,
        )


@contextmanager
def _clock(offset: str, facts: Mapping[str, str], tools: Tools) -> Iterator[Place]:
    # Time that passes is measured by another clock, which nobody sets.
    variables = {
        "LD_PRELOAD": tools.clock(),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    with server(tools.any_server(), {}) as dsn:
        yield Place(dsn, facts, variables=variables, left_out=NOT_WITH_A_WRONG_CLOCK)


# All that a session of Baton's brings, as hosted poolers forget it that refuse nothing.
_SETTINGS = {*server_settings("baton"), "idle_in_transaction_session_timeout"}
_SETTINGS -= {"application_name"}

_PATIENCE = {"statement_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}

ENVIRONMENTS: Mapping[str, Callable[[Tools], AbstractContextManager[Place]]] = {
    **{f"PostgreSQL {version}": partial(_version, version) for version in SERVERS},
    **{f"Python {version}": partial(_python, version) for version in PYTHONS},
    "uvloop": partial(_plugin, "on_uvloop", {"loop": "uvloop"}, ()),
    "quoted schema": partial(
        _plugin, "in_odd_schema", {"schema": 'Der "Plan"; é%$1'}, NOT_IN_ANOTHER_SCHEMA
    ),
    **{
        f"default isolation {level}": partial(_settings, {"default_transaction_isolation": level})
        for level in ("repeatable read", "serializable")
    },
    "empty search path": partial(_settings, {"search_path": ""}),
    "TimeZone America/St_Johns": partial(_settings, {"timezone": "America/St_Johns"}),
    "timeouts of the role": partial(_settings, _PATIENCE),
    "PgBouncer": partial(_pooler, None, "read committed"),
    "PgBouncer, serializable": partial(_pooler, None, "serializable"),
    "PgBouncer that forgets settings": partial(_pooler, None, "read committed", forgetful=True),
    "PgBouncer 1.24": partial(_pooler, "1.24", "read committed"),
    "clock an hour ahead, fast": partial(
        _clock, "+3600s x1.05", {"clock": "+60 min", "pace": "1.05"}
    ),
    "clock an hour behind, slow": partial(
        _clock, "-3600s x0.95", {"clock": "-60 min", "pace": "0.95"}
    ),
}
