"""Which failures of the driver and the server mean what. Classified by SQLSTATE where
there is one.
"""

from __future__ import annotations

import asyncpg

from baton.words.database_errors import DatabaseError, UnavailableError

# serialization failure, deadlock, lock not available, cached plan changed its result type,
# transaction left idle for too long
_RETRYABLE = frozenset({"40001", "40P01", "55P03", "0A000", "25P03"})

_LIMIT_EXCEEDED = "54000"

# lost connections, refused logins, a lack of disk, memory or connections, a server that shuts down
# or starts, transactions that lost to another
_OUTAGES = ("08", "28", "40", "53", "57P")
# no such database, read-only after a failover, transactions that the server ended for their age
_OUTAGE_STATES = frozenset({"3D000", "25006", "25P03", "25P04"})

# read-only after a failover, server shutting down or starting, plans of a changed schema
_POISONS_POOL = frozenset({"25006", "57P01", "57P02", "57P03", "0A000"})


def driver_error(error: BaseException) -> BaseException:
    """What the driver raised, where this is an error of ours in its place."""
    if isinstance(error, DatabaseError) and error.__cause__ is not None:
        return driver_error(error.__cause__)
    return error


def sqlstate(error: BaseException) -> str | None:
    """The server's code; an error of ours has the code of what it was raised from."""
    return getattr(driver_error(error), "sqlstate", None)


def is_retryable(error: BaseException) -> bool:
    """The transaction was rolled back for a passing reason; the same work may be done again."""
    return sqlstate(error) in _RETRYABLE or _is_lost_cache(error)


def is_lock_timeout(error: BaseException) -> bool:
    """Somebody held a lock for longer than our sessions wait for one."""
    return sqlstate(error) == "55P03"


def is_connection_loss(error: BaseException) -> bool:
    """The connection failed; whether the work was committed is unknown."""
    if isinstance(error, UnavailableError) and error.timeout is not None:
        # It was waited for as long as may be: for a connection, or for word of a commit.
        return False
    code = sqlstate(error)
    if code is not None:
        return code.startswith(("08", "57P"))
    return isinstance(
        driver_error(error),
        OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError,
    )


def is_database_fault(error: BaseException) -> bool:
    """The failure comes from the driver or the server, not from a caller's mistake in
    Baton's code.
    """
    return isinstance(driver_error(error), asyncpg.PostgresError) or is_connection_loss(error)


def is_outage(error: BaseException) -> bool:
    """The failure says nothing of what was to be written: the connection, the server's state, or a
    lost race is to blame, and the same work goes through later as it is.

    Everything else is a refusal, whatever its SQLSTATE: code of others runs inside our statements
    and may raise anything. Whoever wrote several rows finds the refused ones by halves, and nothing
    is thrown away on the word of an error that nobody foresaw. A lock time-out is a refusal too:
    it keeps back what needs the lock, not what was written with it.
    """
    code = sqlstate(error)
    if code is not None:
        return code.startswith(_OUTAGES) or code in _OUTAGE_STATES
    return isinstance(error, UnavailableError) or is_connection_loss(error)


def holds_up_all(error: BaseException) -> bool:
    """An outage that no part of a batch gets past. A serialization failure or a deadlock is none:
    a trigger may raise it for one row at every try, and who lost a race repeats in parts as well.
    """
    return is_outage(error) and not (sqlstate(error) or "").startswith("40")


def is_content_fault(error: BaseException) -> bool:
    """The database refused the data itself, and will again: a value that it cannot hold, a
    constraint, or somebody's trigger that says so.
    """
    code = sqlstate(error)
    if code is None:
        return False
    return code.startswith(("22", "23")) or code == "P0001" or _is_oversized_json(error)


def is_notify_queue_full(error: BaseException) -> bool:
    """The server has no room for another notification: some session listens and does not read."""
    if sqlstate(error) != _LIMIT_EXCEEDED:
        return False
    return _source(error) == "async.c" or "NOTIFY queue" in str(error)


def is_statement_timeout(error: BaseException) -> bool:
    """The statement took longer than the server lets one take, or somebody cancelled it."""
    return sqlstate(error) == "57014"


def is_too_slow(error: BaseException) -> bool:
    """The statement took longer than the server or we let one take; less work at once may fit."""
    return is_statement_timeout(error) or isinstance(driver_error(error), TimeoutError)


def is_wrong_isolation(error: BaseException) -> bool:
    """A function of ours that reads after it locks was called above READ COMMITTED."""
    return sqlstate(error) == "55000" and "READ COMMITTED" in str(error)


def poisons_pool(error: BaseException) -> bool:
    """Other pooled connections are likely to fail in the same way and are better replaced."""
    return sqlstate(error) in _POISONS_POOL or _is_lost_cache(error)


def _is_lost_cache(error: BaseException) -> bool:
    return sqlstate(error) == "XX000" and "cache lookup failed" in str(error)


def _is_oversized_json(error: BaseException) -> bool:
    # Class 54 has limits of the server and of others too: only the type's own is the data's fault.
    return sqlstate(error) == _LIMIT_EXCEEDED and _source(error).startswith("jsonb")


def _source(error: BaseException) -> str:
    """The server's source file that raised it: unlike the message, it is not translated."""
    return getattr(driver_error(error), "server_source_filename", None) or ""
