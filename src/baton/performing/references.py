"""Puts what a step's arguments refer to into them: results of its dependencies, read at once."""

from __future__ import annotations

from typing import Any, NamedTuple

from baton.core.jsonvalue import decode
from baton.core.references import INPUT, Place, described, filled, places
from baton.store.references import ReferredValue, read_references
from baton.store.results import read_dependency_names
from baton.store.store import Store
from baton.words.argument_errors import InvalidArgsError
from baton.words.reference_errors import UnresolvedReferenceError
from baton.words.rows import ClaimedJob
from baton.words.step_errors import UndeclaredDependencyError


class Resolved(NamedTuple):
    """Arguments without references, as JSON text. `lacking` is why there is None in the place of a
    result; it is the error where the worker does not take None there.
    """

    args: str
    lacking: UnresolvedReferenceError | None


async def resolved(database: Store, job: ClaimedJob) -> Resolved:
    """The arguments of a step of a workflow.

    Raises UnresolvedReferenceError, UndeclaredDependencyError; InvalidArgsError for what is no
    reference of ours; UnreadError.
    """
    try:
        wanted = places(job.args)
    except ValueError as error:
        raise InvalidArgsError(job.worker, job.args, [str(error)]) from None
    found = await read_references(database, job.id, wanted) if wanted else []
    step = job.node.name if job.node else None
    values: dict[Place, Any] = {}
    lacking: UnresolvedReferenceError | None = None
    for place, read in zip(wanted, found, strict=True):
        if not read.declared:
            names = await read_dependency_names(database, job.id)
            raise UndeclaredDependencyError(str(step), str(place.step), names)
        if read.value is not None:
            values[place] = _decoded(job, place, read.value)
        elif read.stored:
            raise await _nothing_there(database, job, place)
        elif place.kind == INPUT:
            raise _error(job, place, "the workflow was given none")
        else:
            values[place] = None
            lacking = lacking or _error(job, place, _why(read))
    return Resolved(filled(job.args, values.__getitem__), lacking)


def _why(read: ReferredValue) -> str:
    how = "has not settled" if read.state is None else f"was {read.state}"
    return f"that step {how} and has no result, and the argument does not take None"


async def _nothing_there(
    database: Store, job: ClaimedJob, place: Place
) -> UnresolvedReferenceError:
    (whole,) = await read_references(database, job.id, [place._replace(path=())])
    value = None if whole.value is None else _decoded(job, place, whole.value)
    return _error(job, place, described(value, place.path))


def _decoded(job: ClaimedJob, place: Place, text: str) -> Any:
    try:
        return decode(text)
    except ValueError as error:
        raise _error(job, place, str(error)) from None


def _error(job: ClaimedJob, place: Place, problem: str) -> UnresolvedReferenceError:
    name = job.node.name if job.node else None
    return UnresolvedReferenceError(name, place.step, place.pointer, problem)
