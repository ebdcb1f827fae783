"""How connections are made: to which host, with whose password, and whether a pooler is in between.

Each of several hosts gets a share of the time there is, so that one that hangs is left like one
that refuses; the host that worked last comes first. A pooler in transaction mode, which lends a
session for each transaction, is noticed: it refuses the settings of a session, or loses them.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg
from asyncpg.exceptions import ClientConfigurationError, TargetServerAttributeNotMatched

from baton.core.dsn import read_dsn
from baton.store.session import PlainConnection
from baton.words.argument_errors import InvalidOptionError
from baton.words.database_errors import UnavailableError

Password: TypeAlias = Callable[[], str | Awaitable[str]]
"""Makes a password, for each connection anew; it may be async."""

# What a start of a session brings and transactions of a lent one do without.
_OF_SESSIONS = ("application_name", "idle_session_timeout")

# By a simple query: a pooler may lend the next session before a prepared one is executed.
_KEPT = (
    "SELECT WHERE pg_catalog.current_setting('lock_timeout')::pg_catalog.interval = '{} ms'"
    " AND pg_catalog.current_setting('enable_seqscan') = 'off'"
)

_SHORTEST = 0.001

_NEXT_HOST = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    TargetServerAttributeNotMatched,
)


class Connector:
    """Makes the connections to one database; any event loop and thread may use it.

    `password` is a function that returns one, for each connection anew. `pooled` says that a pooler
    in transaction mode stands before the server. Raises InvalidOptionError.
    """

    def __init__(self, dsn: str, *, password: Password | None = None, pooled: bool = False) -> None:
        self._given = read_dsn(dsn)
        self.password = _checked_password(password, self._given.has_password)
        if not isinstance(pooled, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidOptionError("pooled", pooled, "True or False")
        self.pooled = pooled
        self._lent = pooled or self._given.pooled
        self._first = 0

    def __repr__(self) -> str:
        return f"<Connector {self._given!r}>"

    @property
    def lends(self) -> bool:
        """Whether a pooler is known to lend a session for each transaction."""
        return self._lent

    async def session(
        self, *, server_settings: Mapping[str, str], timeout: float, **options: Any
    ) -> PlainConnection:
        """A session with these settings, within `timeout` seconds. Through a pooler they are made
        in each transaction, and no statement is prepared for longer than one.

        Raises what the driver raises, UnavailableError when the password function fails.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + timeout
        options["connection_class"] = PlainConnection
        if not self._lent:
            connection = await self._whole_session(server_settings, timeout, options)
            if connection is not None:
                return connection
            # A pooler stays one: the next connection need not find out.
            self._lent = True
        kept = {n: value for n, value in server_settings.items() if n not in _OF_SESSIONS}
        options["statement_cache_size"] = 0
        options["server_settings"] = {"application_name": server_settings["application_name"]}
        lent: PlainConnection = await self.connect(timeout=end - clock(), **options)
        lent.lent = "".join(f"SET LOCAL {name} = '{value}';" for name, value in kept.items())
        return lent

    async def plain_session(self, *, application_name: str, timeout: float, **options: Any) -> Any:
        """A session of the driver's as the database gives it to anybody, without Baton's settings.
        Raises as `session`.
        """
        options["server_settings"] = {"application_name": application_name}
        if self._lent:
            options["statement_cache_size"] = 0
        else:
            options["server_settings"]["idle_session_timeout"] = "0"
        return await self.connect(timeout=timeout, **options)

    async def _whole_session(
        self, settings: Mapping[str, str], timeout: float, options: Mapping[str, Any]
    ) -> PlainConnection | None:
        """A session that keeps its settings; None through a pooler."""
        end = asyncio.get_running_loop().time() + timeout
        try:
            connection: PlainConnection = await self.connect(
                server_settings=dict(settings), timeout=timeout, **options
            )
        except asyncpg.ProtocolViolationError as error:
            if "unsupported startup parameter" not in str(error):
                raise
            return None
        if await _keeps_settings(connection, settings, end):
            return connection
        connection.terminate()
        return None

    async def connect(self, *, timeout: float, **options: Any) -> Any:
        """A connection of the driver's to the first host that serves, within `timeout` seconds."""
        if self.password is not None:
            options["password"] = await _made_password(self.password)
        wanted: tuple[dict[str, Any], ...] = ({},)
        if self._given.prefers_standby and len(self._given.places) > 1:
            # Of one host at a time the driver would be content with any.
            wanted = ({"target_session_attrs": "standby"}, {"target_session_attrs": "any"})
        tries = [(place, attributes) for attributes in wanted for place in self._order()]
        clock = asyncio.get_running_loop().time
        end = clock() + timeout
        for left, (place, attributes) in zip(range(len(tries), 0, -1), tries, strict=True):
            share = max((end - clock()) / left, _SHORTEST)
            try:
                return await self._at(place, share, {**options, **attributes})
            except _NEXT_HOST:
                if left == 1:
                    raise
        raise AssertionError("unreachable")

    async def _at(self, place: int, timeout: float, options: Mapping[str, Any]) -> Any:
        bound = min(timeout, self._given.connect_timeout or timeout)
        try:
            made = await asyncpg.connect(self._given.places[place], timeout=bound, **options)
        except ClientConfigurationError as error:
            raise InvalidOptionError("dsn", "…", f"what the driver can use: {error}") from error
        except BaseException:
            if self._first == place:
                # Also when it hung until the caller gave up.
                self._first = (place + 1) % len(self._given.places)
            raise
        self._first = place
        return made

    def _order(self) -> Sequence[int]:
        places = len(self._given.places)
        if self._given.shuffled:
            return random.sample(range(places), places)
        return [(self._first + number) % places for number in range(places)]


async def _keeps_settings(
    connection: PlainConnection, settings: Mapping[str, str], end: float
) -> bool:
    """Whether the session has the settings that it was begun with."""
    left = max(end - asyncio.get_running_loop().time(), _SHORTEST)
    try:
        asked = _KEPT.format(settings["lock_timeout"])
        return await connection.execute(asked, timeout=left) == "SELECT 1"
    except BaseException:
        connection.terminate()
        raise


async def _made_password(password: Password) -> str:
    try:
        given = password()
        made = await given if inspect.isawaitable(given) else given
    except Exception as error:
        # Not its text: it may hold what it is about.
        what = f"the password function failed ({type(error).__name__})"
        raise UnavailableError(what) from error
    if not isinstance(made, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidOptionError("password", type(made), "a function that returns a text")
    return made


def _checked_password(given: object, in_dsn: bool) -> Any:
    if given is None:
        return None
    if not callable(given):
        expected = (
            "a function, sync or async, that makes a password for each connection; a password that "
            "stays belongs in the DSN"
        )
        # Never the value: it is one.
        raise InvalidOptionError("password", type(given), expected)
    if in_dsn:
        raise InvalidOptionError("password", given, "one password: take that out of the DSN")
    return given
