"""What the driver and the server raise, as Baton's errors. `Store` and `Dedicated` translate
whatever leaves them, so that no caller can forget to; `faults` classifies either.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from baton.store.faults import driver_error, is_connection_loss, is_database_fault, sqlstate
from baton.words.base_error import BatonError
from baton.words.database_errors import DatabaseError, MissingRightError, UnavailableError

_INSUFFICIENT_PRIVILEGE = "42501"
_UNIQUE_VIOLATION = "23505"
_READ_ONLY = "25006"
_LACKING = "53"

# Rolled back because of what others did or were doing; lock not available, statement cancelled,
# transaction left idle or open for too long.
_ROLLED_BACK = ("40", "55P03", "57014", "25P03", "25P04")

# No such database; the rest of the refusals of a login begin with 28.
_NO_DATABASE = "3D000"
# A setting of the connection string that the server does not have, or will not let us have.
_REFUSED_SETTINGS = frozenset({"42704", "22023", "55P02"})

_MOST_CONTEXT = 1_000

SEQUENCES = {
    "oban_jobs": ("oban_jobs.id", "workflow_nodes.job_id"),
    "workflow_wait_groups": ("workflow_wait_groups.id",),
    "workflow_events": ("workflow_events.id",),
}
"""By the table whose sequence of `id` gives them, the columns that hold the ids."""


def said(error: BaseException) -> str:
    """The words of the driver or the server in one line, with PostgreSQL's CONTEXT, which names the
    function and the line of whoever raised it: a trigger of the application's, say.
    """
    text = str(error)
    context = getattr(driver_error(error), "context", None)
    if context and context not in text:
        text += f"\nCONTEXT:  {context[:_MOST_CONTEXT]}"
    return "; ".join(line.strip() for line in text.splitlines())


def not_connected(error: BaseException) -> DatabaseError:
    """What to raise when connecting failed: the server's own words when it refused."""
    code = sqlstate(error)
    if isinstance(error, DatabaseError):
        return error
    if code == _NO_DATABASE:
        what = f"{said(error)}: create it, or correct the DSN"
        return UnavailableError(what, refused=True)
    if code in _REFUSED_SETTINGS:
        what = f"the database refused a setting of the connection: {said(error)}"
        return UnavailableError(what, refused=True)
    if code is not None and (code.startswith("28") or code == _INSUFFICIENT_PRIVILEGE):
        what = f"the database refused the login: {said(error)}"
        return UnavailableError(what, refused=True)
    return UnavailableError(f"no connection ({type(error).__name__}: {said(error)})")


def translated(error: BaseException) -> DatabaseError | None:
    """What to raise in place of a failure of the driver or the server; None for all else, errors of
    ours among it.
    """
    if isinstance(error, BatonError) or not is_database_fault(error):
        return None
    return _translated(error, sqlstate(error) or "")


def _translated(error: BaseException, code: str) -> DatabaseError:
    if code == _INSUFFICIENT_PRIVILEGE:
        return MissingRightError(said(error))
    if code == _READ_ONLY or code.startswith(_LACKING):
        return UnavailableError(f"the database is out of service: {said(error)}", refused=True)
    if code.startswith(_ROLLED_BACK):
        what = f"the database rolled the transaction back, which may be repeated: {said(error)}"
        return UnavailableError(what, refused=True)
    if is_connection_loss(error):
        what = f"no connection ({type(error).__name__}: {said(error)})"
        return UnavailableError(what, in_doubt=True)
    refused = f"the database refused the call ({type(error).__name__}: {said(error)})"
    return DatabaseError(refused + _sequence_advice(error, code))


def _sequence_advice(error: BaseException, code: str) -> str:
    violated = getattr(error, "constraint_name", None)
    for table, columns in SEQUENCES.items():
        if code == _UNIQUE_VIOLATION and violated in _primary_keys(columns):
            return (
                f"; the sequence of {table}.id is behind the ids in use, as after a restore; "
                "baton migrate --verify names the SQL that sets it"
            )
    return ""


def _primary_keys(columns: tuple[str, ...]) -> set[str]:
    return {f"{column.partition('.')[0]}_pkey" for column in columns}


@contextmanager
def translating_database_errors(doing: str | None = None, advice: str = "") -> Generator[None]:
    """Raise Baton's errors in place of the driver's. Of a call whose connection was lost, so that
    it is in doubt, the error says what it was `doing`, and `advice`.
    """
    try:
        yield
    except UnavailableError as error:
        if doing is None or not error.in_doubt:
            raise
        told = UnavailableError(f"{doing}: {error.what}{advice}", error.timeout, in_doubt=True)
        raise told from error
    except Exception as error:
        ours = translated(error)
        if ours is None:
            raise
        raise ours from error
