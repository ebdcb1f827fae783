"""Outcomes that the database refuses alone.

None is thrown away on the word of an error. Each is kept with its result, tried again apart from
the others, later and later, and its job stays this engine's: nobody rescues it and performs it a
second time. Only where the data itself is refused does another outcome take its place: first the
same with an error text of plain characters, then, if a result is refused again after a pause, that
it cannot be stored.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from baton.core.errortext import ascii_only, describe
from baton.core.outcome import RULES, Ending, outcome
from baton.runtime.executor import Execution
from baton.runtime.quarantine import Quarantine
from baton.store.faults import is_content_fault
from baton.words.argument_errors import NotStorableError
from baton.words.graph_errors import GraphError
from baton.words.rows import Outcome

_log = logging.getLogger("baton")


_OURS = (GraphError, NotStorableError)
"""What our own checks raise, and would raise at every try."""


@dataclass(slots=True)
class _Case:
    execution: Execution
    returned: Outcome | None
    refusals: int = 0
    trying: bool = True
    replaced: bool = False


class Refusals:
    """The refused outcomes of one engine, by job id, each until it is written."""

    def __init__(self) -> None:
        self._cases: dict[int, _Case] = {}
        # What is left out of a batch is not sent along with it: any number may be.
        self._delays: Quarantine[int] = Quarantine(
            "the outcome of job %s is refused", most=sys.maxsize
        )
        self._last_tries = False

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def ids(self) -> list[int]:
        """The jobs whose outcomes were refused and have not been written."""
        return list(self._cases)

    @property
    def hopeful(self) -> bool:
        """Whether some have a try left."""
        return bool(self._delays)

    @property
    def next_due(self) -> float | None:
        """Seconds until one is to be tried again; None when none is."""
        return self._delays.next_due()

    def refuse(self, execution: Execution, error: Exception) -> bool:
        """Keep an outcome that was refused alone; True when it was changed, to be tried again at
        once.
        """
        job_id = execution.job.id
        case = self._cases.get(job_id)
        if case is None or case.execution is not execution:
            case = self._cases[job_id] = _Case(execution, execution.outcome)
        case.refusals += 1
        if isinstance(error, _OURS) and self._replace(case, error, lasting=True):
            return True
        if is_content_fault(error) and self._replace(case, error):
            return True
        execution.outcome = case.returned
        case.trying = False
        if self._last_tries:
            self._delays.accept([job_id])
            _log.error("the outcome of job %s is refused and left to a rescue: %s", job_id, error)
        else:
            self._delays.refuse(job_id, error)
        return False

    def _replace(self, case: _Case, error: Exception, *, lasting: bool = False) -> bool:
        ended, job = case.execution.outcome, case.execution.job
        if ended is None or case.replaced:
            return False
        if ended.error is not None and not ended.error.isascii():
            _log.warning(
                "the error text of job %s cannot be stored as it is: %s", job.id, ended.error
            )
            case.execution.outcome = ended._replace(error=ascii_only(ended.error))
            return True
        # What refuses a result may pass, such as a row of others; what has no result of its own
        # would only end otherwise than it did.
        lasting = lasting or case.refusals > 1 or self._last_tries
        if not lasting or (ended.result is None and ended.wait is None):
            return False
        case.replaced = True
        text = ascii_only(describe(error))
        ending = Ending.NOT_GROWN if isinstance(error, GraphError) else Ending.NOT_STORABLE
        case.execution.outcome = outcome(job, ending, error=text)
        _log.error("job %s is discarded, %s: %s", job.id, RULES[ending].meaning, error)
        return True

    def take_due(self) -> list[Execution]:
        """Those whose delay is over, each to be tried alone."""
        due = [self._cases[job_id] for job_id in self._delays.take_due()]
        due = [case for case in due if not case.trying]
        for case in due:
            case.trying = True
        return [case.execution for case in due]

    def accept(self, written: Iterable[Execution]) -> None:
        """These are written: what kept them back may be over for the others too."""
        found = [e.job.id for e in written if self._cases.pop(e.job.id, None) is not None]
        if found:
            self._delays.accept(found)
            self._delays.hurry()

    def try_last(self) -> None:
        """Everything is tried once more, now, and given up when it is refused again."""
        self._last_tries = True
        self._delays.hurry()
