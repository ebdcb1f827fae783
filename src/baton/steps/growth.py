"""What a running step adds to its workflow: collected while it runs, written with its outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from baton.core.names import validate_step_name
from baton.steps.rules import checked_rules, step_names
from baton.steps.step_job import StepJob, new_step, wait_step
from baton.steps.step_options import StepOptions
from baton.steps.wait_options import WaitStepOptions
from baton.words.graph_errors import DuplicateStepError
from baton.words.rows import Growth, NewStep
from baton.words.states import OnTimeout
from baton.words.step_errors import StepError


class Added:
    """The steps that one attempt has added so far."""

    __slots__ = ("_before", "_steps")

    def __init__(self) -> None:
        self._steps: dict[str, NewStep] = {}
        self._before: dict[str, tuple[str, ...]] = {}

    def add(self, step: NewStep, before: Iterable[str]) -> None:
        """Raises DuplicateStepError, InvalidOptionError, InvalidNameError, StepError."""
        if self is CLOSED:
            raise StepError(f"the step that adds {step.name!r} has returned: add it before")
        if step.name in self._steps:
            raise DuplicateStepError(step.name)
        targets = step_names(None, "before", before)
        self._steps[step.name] = step
        if targets:
            self._before[step.name] = targets

    def growth(self, by: str | None) -> Growth | None:
        """What is written with the outcome of the step `by`; None for nothing."""
        if not self._steps:
            return None
        return Growth(tuple(self._steps.values()), dict(self._before), by)


CLOSED = Added()
"""What a step adds to that has returned: nothing."""


class Grows:
    """The part of a step that adds steps."""

    __slots__ = ()

    def _adding(self, name: str) -> Added:
        """What this attempt adds, to add a step to it. Raises StepError outside a workflow."""
        raise NotImplementedError

    def add(
        self,
        name: str,
        job: StepJob,
        *,
        deps: Iterable[str] = (),
        before: Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        run_when_skipped: bool = False,
        any_of: Iterable[str] | None = None,
        when: Mapping[str, Any] | None = None,
        unless: Mapping[str, Any] | None = None,
        on_failure: bool = False,
        **options: Unpack[StepOptions],
    ) -> None:
        """Add a step to the workflow, as part of this step's outcome: it is written in the commit
        that writes the result, or not at all. An attempt that does not complete has added nothing.

        `deps` are steps of the workflow, this one, or others that it adds; what a step does not
        name it does not wait for. `before` are steps of the workflow that are to wait for the new
        one too: they must still wait for another step, such as this one. All else is as in
        `Baton.add`; the ignore flags are off unless given.

        Raises DuplicateStepError, InvalidNameError, InvalidOptionError, InvalidArgumentError,
        NotStorableError, and StepError in a job outside workflows. What does not fit the workflow
        (a name that it has, an unknown dependency, a cycle) is found when the step has returned,
        and discards it.
        """
        added = self._adding(name)
        ignored = (ignore_cancelled, ignore_discarded, run_when_skipped)
        rules = checked_rules(
            None, deps, any_of, ignored, (when, unless, on_failure), (False, False)
        )
        added.add(new_step(validate_step_name(name), job, rules, options), before)

    def wait(
        self,
        name: str,
        *,
        any_of: Iterable[str] | None = None,
        all_of: Iterable[str] | None = None,
        at_least: tuple[int, Iterable[str]] | None = None,
        on_timeout: OnTimeout | str = OnTimeout.RESULT,
        deps: Iterable[str] = (),
        before: Iterable[str] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        run_when_skipped: bool = False,
        when: Mapping[str, Any] | None = None,
        unless: Mapping[str, Any] | None = None,
        on_failure: bool = False,
        **options: Unpack[WaitStepOptions],
    ) -> None:
        """Add a wait step to the workflow, as `add` adds a step; see `Baton.wait`. It is the new
        step that waits, not this one: `wait_for` and its like wait here.
        """
        added = self._adding(name)
        ignored = (ignore_cancelled, ignore_discarded, run_when_skipped)
        rules = checked_rules(None, deps, None, ignored, (when, unless, on_failure), (False, False))
        wants = {"any_of": any_of, "all_of": all_of, "at_least": at_least}
        added.add(wait_step(validate_step_name(name), wants, on_timeout, rules, options), before)


def outside(name: str) -> StepError:
    """A job outside workflows cannot add steps."""
    return StepError(
        f"a job outside workflows has none to add {name!r} to: insert a workflow, "
        f"Baton().add({name!r}, …).insert()"
    )
