"""`engine=` and `conn=` are given by name only, and an engine that does not run answers every call
with one and the same error.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, cast
from uuid import uuid4

import pytest

import baton
import baton.completion
import baton.insights
import baton.schema
import baton.statistics
from baton import Engine, Step
from baton.errors import EngineStateError
from support.public_calls import CALLS, LOGS_ITS_FAILURES, Scene

MODULES: tuple[ModuleType, ...] = (
    baton,
    baton.completion,
    baton.insights,
    baton.schema,
    baton.statistics,
)

OF_AN_ENGINE = [
    name
    for name in CALLS
    if not name.startswith(("Database.", "Insights.", "Plugin.", "Step."))
    and name not in {"current_version", "migrate", "require", "rollback", "verify"}
]
"""The calls that are made on an engine, given or found."""


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function and method, by name."""
    for module in MODULES:
        for name in vars(module)["__all__"]:
            found = getattr(module, name)
            if inspect.isclass(found):
                for inner, method in inspect.getmembers(found, inspect.isroutine):
                    if not inner.startswith("_"):
                        yield f"{name}.{inner}", method
            elif inspect.isfunction(found):
                yield name, found


def parameters() -> Iterator[tuple[str, inspect.Parameter]]:
    for name, function in functions():
        try:
            signature = inspect.signature(function)
        except ValueError:  # a builtin that tells none
            continue
        for parameter in signature.parameters.values():
            if parameter.name in ("engine", "conn"):
                yield f"{name}({parameter.name})", parameter


def test_engines_and_connections_are_given_by_name_only() -> None:
    found = dict(parameters())
    assert {"Baton.insert(engine)", "Baton.insert(conn)", "send_event(conn)"} <= set(found)
    by_position = [
        name
        for name, parameter in found.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert by_position == []


def test_engines_and_connections_are_typed_alike() -> None:
    types = {
        "engine": "EngineOrName | None",
        "conn": "CallersConnection | None",
    }
    untyped = {
        name: parameter.annotation
        for name, parameter in parameters()
        if parameter.annotation != types[parameter.name]
    }
    assert untyped == {}


async def refusal(
    name: str, engine: Engine, caplog: pytest.LogCaptureFixture
) -> BaseException | None:
    """What a call raises, or logs where it never raises."""
    scene = Scene(engine.database.dsn, engine, engine.database, uuid4(), cast(Step, None))
    if name == "check":
        answer = await baton.completion.check(1, "completed", engine=engine)
        assert answer is None
        (record,) = caplog.records
        assert record.exc_info is not None
        return record.exc_info[1]
    with pytest.raises(EngineStateError) as caught:
        await CALLS[name](scene)
    return caught.value


@pytest.mark.parametrize("name", OF_AN_ENGINE)
async def test_an_engine_that_does_not_run_answers_alike(
    dsn: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "baton")
    assert name not in LOGS_ITS_FAILURES - {"check"}
    engine = Engine(dsn)
    error = await refusal(name, engine, caplog)
    assert isinstance(error, EngineStateError)
    assert (error.state, error.expected) == ("new", "running")
    assert "use `async with engine`" in str(error)

    async with engine:
        pass
    caplog.clear()
    error = await refusal(name, engine, caplog)
    assert isinstance(error, EngineStateError)
    assert (error.state, error.expected) == ("stopped", "running")
    assert "an engine runs once, make another one" in str(error)
