"""Everything a step's code may do to whoever runs it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel, model_serializer

from baton.core.outcome import Snooze
from baton.errors import (
    EngineStateError,
    InvalidArgsError,
    NotStorableError,
    StepTimeoutError,
    UnknownWorkflowError,
)


class Silent(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__("silent")
        self.error = error

    def __str__(self) -> str:
        raise self.error

    __repr__ = __str__


class NoText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class Lying(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1)


def group(depth: int) -> BaseException:
    error: BaseException = KeyboardInterrupt("innermost")
    for level in range(depth):
        error = BaseExceptionGroup(f"level {level}", [ValueError("beside"), error])
    return error


def chained() -> BaseException:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


# What is raised, and how the stored text begins.
RAISED: dict[str, tuple[Callable[[], BaseException], str]] = {
    "error": (lambda: ValueError("plain"), "ValueError: plain"),
    "timeout": (lambda: TimeoutError("theirs"), "TimeoutError: theirs"),
    "cancelled": (asyncio.CancelledError, "asyncio.exceptions.CancelledError"),
    "cancelled with text": (
        lambda: asyncio.CancelledError("x"),
        "asyncio.exceptions.CancelledError: x",
    ),
    "keyboard": (KeyboardInterrupt, "KeyboardInterrupt"),
    "exit": (lambda: SystemExit(1), "SystemExit: 1"),
    "generator exit": (GeneratorExit, "GeneratorExit"),
    "stop": (lambda: StopIteration("x"), ""),
    "stop async": (lambda: StopAsyncIteration("x"), "StopAsyncIteration: x"),
    "memory": (MemoryError, "MemoryError"),
    "base": (lambda: BaseException("base"), "BaseException: base"),
    "serialization": (
        lambda: asyncpg.SerializationError("theirs"),
        "asyncpg.exceptions.SerializationError: theirs",
    ),
    "deadlock": (lambda: asyncpg.DeadlockDetectedError("x"), "asyncpg.exceptions.Deadlock"),
    "lost": (
        lambda: asyncpg.ConnectionDoesNotExistError("theirs"),
        "asyncpg.exceptions.ConnectionDoesNotExistError: theirs",
    ),
    "interface": (
        lambda: asyncpg.InterfaceError("x"),
        "asyncpg.exceptions._base.InterfaceError: x",
    ),
    "silent": (lambda: Silent(ValueError("no")), "support.evil.Silent: (its text cannot be had"),
    "silent exit": (lambda: Silent(SystemExit()), "support.evil.Silent: (its text cannot be had"),
    "silent cancel": (lambda: Silent(asyncio.CancelledError()), "support.evil.Silent: (its text"),
    "no text": (NoText, "support.evil.NoText: (its text cannot be had"),
    "lying": (lambda: Lying("x"), "support.evil.Lying: x"),
    "group": (
        lambda: ExceptionGroup("many", [ValueError("a"), KeyError("b")]),
        "ExceptionGroup: many",
    ),
    "base group": (lambda: group(3), "BaseExceptionGroup: level 2"),
    "deep group": (lambda: group(500), "BaseExceptionGroup: level 499"),
    "cause of itself": (chained, "ValueError: first"),
    "NUL": (lambda: ValueError("a\x00b"), r"ValueError: a\x00b"),
    "surrogate": (lambda: ValueError("a\ud800b"), r"ValueError: a\ud800b"),
    "enormous": (lambda: ValueError("x" * 100_000_000), "ValueError: xxx"),
    "enormous argument": (lambda: ValueError(["x" * 1_000] * 10_000), "ValueError: ['xxx"),
    "our timeout": (
        lambda: StepTimeoutError("s", 1),
        "baton.errors.StepTimeoutError: step 's'",
    ),
    "our unknown": (
        lambda: UnknownWorkflowError(UUID(int=0)),
        "baton.errors.UnknownWorkflow",
    ),
    "our state": (lambda: EngineStateError("a", "b"), "baton.errors.EngineStateError"),
    "our args": (lambda: InvalidArgsError("w", {}, ["p"]), "baton.errors.InvalidArgsError"),
    "our storable": (lambda: NotStorableError("w", "p"), "baton.errors.NotStorableError"),
}


class Serialized(BaseModel):
    @model_serializer
    def serialize(self) -> Any:
        raise KeyboardInterrupt


class Falling(dict[str, Any]):
    def items(self) -> Any:
        raise SystemExit

    keys = values = __iter__ = __len__ = items


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = {"a": [found]}
    return found


def numbers() -> Iterator[int]:
    yield 1


# What is returned and cannot be stored.
RETURNED: dict[str, Callable[[], Any]] = {
    "NUL": lambda: "a\x00b",
    "NUL in a key": lambda: {"a\x00b": 1},
    "NaN": lambda: math.nan,
    "infinite": lambda: [1, {"a": -math.inf}],
    "surrogate": lambda: ["a\ud800"],
    "surrogate in a key": lambda: {"\udfff": 1},
    "100 MB": lambda: "x" * 100_000_000,
    "100 MB of numbers": lambda: [[0] * 1_000_000] * 50,
    "object": object,
    "function": lambda: numbers,
    "generator": numbers,
    "class": lambda: Snooze,
    "bytes": lambda: b"abc",
    "endless": endless,
    "nested": lambda: nested(10_000),
    "key of a number": lambda: {1: 2},
    "integer": lambda: 10**5_000,
    "serializer": Serialized,
    "falling apart": lambda: Falling(a=1),
}

# What cannot even be returned.
IMPOSSIBLE: dict[str, tuple[Callable[[], Any], str]] = {
    "snooze for ever": (
        lambda: Snooze(math.inf),
        "baton.errors.InvalidOptionError: Snooze.seconds",
    ),
    "snooze NaN": (
        lambda: Snooze(math.nan),
        "baton.errors.InvalidOptionError: Snooze.seconds",
    ),
    "recursion": (recurse, "RecursionError: maximum recursion depth exceeded"),
}
