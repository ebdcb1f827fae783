"""Settings of an engine: one frozen, validated value, made once."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TypedDict

from baton.words.argument_errors import InvalidOptionError

NAME_EXPECTED = "a text of 1 to 127 characters, without NUL and lone surrogates"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSettings:
    """How an engine works. All times are seconds."""

    name: str = "default"
    """Name of this instance; several named instances may run in one process."""
    node: str = field(default_factory=lambda: socket.gethostname() or "localhost")
    """Label of the machine in `attempted_by`. Never an identity: that is a UUID per start."""
    queues: Mapping[str, int] = field(default_factory=dict[str, int])
    """Queue name to the number of its steps performed at once. Empty: a client without workers."""
    poll_interval: float = 1.0
    """Longest wait before looking for jobs and completions when no notification came."""
    stage_interval: float = 1.0
    """How often due scheduled and retryable jobs are made available."""
    stage_limit: int = 5_000
    """Most jobs staged at a time."""
    notify: bool = True
    """Send and listen to notifications. Without, polling alone does the work."""
    heartbeat_interval: float = 5.0
    """How often the engine says that it is alive."""
    rescue_after: float = 60.0
    """Silence after which an engine counts as dead and its jobs are rescued."""
    rescue_interval: float = 15.0
    """How often orphaned jobs are looked for."""
    max_rescues: int = 10
    """Rescues of one job after which it is discarded: it may be what kills its engines."""
    foreign_rescue_after: float | None = None
    """Age at which executing jobs of hosts without Baton's heartbeat are rescued; None: never."""
    shutdown_grace: float = 15.0
    """How long a stopping engine lets running steps finish before it interrupts them."""
    interrupt_grace: float = 3.0
    """How long an interrupted step may clean up before its job is released without it."""
    settlers: int = 2
    """Settlements under way at once; more than one lets steps run while others settle."""
    settle_limit: int = 1_000
    """Most outcomes settled in one batch."""
    threads: int = 32
    """Most synchronous steps in threads at once."""
    pool_size: int = 10
    """Most pooled connections; heartbeat, listener and each settler have one besides."""
    transactions: int = 10
    """Most steps at once in a transaction of their own, each with a connection besides."""
    command_timeout: float = 30.0
    """Bound of every statement."""
    acquire_timeout: float = 10.0
    """Bound of every wait for a connection."""
    result_limit: int = 1_048_576
    """Largest result of a step, in bytes of JSON."""
    debug: bool = False
    """Keep what steps capture, of all workflows; else of those built with `debug=True`."""
    capture_limit: int = 8_388_608
    """Largest content that a step may capture, in bytes of JSON."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in ("name", "node"):
                _require(is_name(value), item.name, value, NAME_EXPECTED)
            elif item.name == "queues":
                _check_queues(value)
            elif item.name in ("notify", "debug"):
                _require(isinstance(value, bool), item.name, value, "True or False")
            elif item.name == "foreign_rescue_after" and value is None:
                continue
            elif item.type == "int":
                _require(_is_count(value), item.name, value, "a whole number of at least 1")
            else:
                zero_allowed = item.name in ("shutdown_grace", "interrupt_grace")
                _require(
                    _is_seconds(value) and (value > 0 or zero_allowed),
                    item.name,
                    value,
                    "a number of seconds" + ("" if zero_allowed else " above 0"),
                )
        _require(
            self.rescue_after >= 3 * self.heartbeat_interval,
            "rescue_after",
            self.rescue_after,
            f"at least three heartbeats ({3 * self.heartbeat_interval} s): live engines would be "
            "rescued",
        )
        object.__setattr__(self, "queues", MappingProxyType(dict(self.queues)))


def _check_queues(value: object) -> None:
    expected = "a mapping of queue name to limit, such as {'default': 10}"
    if not isinstance(value, Mapping):
        raise InvalidOptionError("queues", value, expected)
    for name, limit in value.items():
        if not is_name(name):
            raise InvalidOptionError(
                "queues", value, f"{expected}; a queue's name is {NAME_EXPECTED}"
            )
        if not _is_count(limit):
            why = f"a whole number of at least 1 as the limit of {name!r}"
            if limit == 0:
                why += f"; a queue is paused with engine.queue({name!r}).pause()"
            raise InvalidOptionError("queues", value, why)


def is_name(value: object) -> bool:
    """Whether PostgreSQL can hold this as the name of something. A NUL would end the parameter of a
    connection that it stands in, and begin another.
    """
    if not isinstance(value, str) or not 0 < len(value) < 128 or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_seconds(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value <= 10 * 366 * 86_400
    )


def _require(condition: bool, option: str, given: object, expected: str) -> None:
    if not condition:
        raise InvalidOptionError(option, given, expected)


class EngineOptions(TypedDict, total=False):
    """The keyword options of `Engine`; see `EngineSettings` for meaning, unit and
    default of each.
    """

    name: str
    node: str
    queues: Mapping[str, int]
    poll_interval: float
    stage_interval: float
    stage_limit: int
    notify: bool
    heartbeat_interval: float
    rescue_after: float
    rescue_interval: float
    max_rescues: int
    foreign_rescue_after: float | None
    shutdown_grace: float
    interrupt_grace: float
    settlers: int
    settle_limit: int
    threads: int
    pool_size: int
    transactions: int
    command_timeout: float
    acquire_timeout: float
    result_limit: int
    debug: bool
    capture_limit: int
