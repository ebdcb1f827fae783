"""Steps with typed results: what `flow.step` returns, and what its result is as an argument."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar, Unpack, overload

from baton.core.outcome import Cancel, Discard, Skip, Snooze
from baton.handles.draft import HasDraft
from baton.steps.reference import Dependency, StepRef
from baton.steps.step_options import StepOptions
from baton.workers.args import NewJob

T = TypeVar("T")
P_co = TypeVar("P_co", covariant=True)

Requested: TypeAlias = Snooze | Cancel | Discard | Skip
"""What a step may return that is no result."""


class AddOptions(StepOptions, total=False):
    """The options of `step`: those of `add`."""

    deps: Iterable[Dependency]
    ignore_cancelled: bool | None
    ignore_discarded: bool | None
    run_when_skipped: bool
    any_of: Iterable[Dependency] | None
    when: Mapping[str, Any] | None
    unless: Mapping[str, Any] | None
    on_failure: bool


class Performs(Protocol[P_co]):
    """A built worker, as type checkers see what it returns."""

    def perform(self, step: Any, /) -> P_co: ...


class TypedSteps(HasDraft):
    """The part of the builder that tells the types of results."""

    @overload
    def step(
        self, name: str, job: NewJob[T | Requested], **options: Unpack[AddOptions]
    ) -> StepRef[T]: ...

    @overload
    def step(
        self,
        name: str,
        job: Performs[Coroutine[Any, Any, T | Requested]],
        **options: Unpack[AddOptions],
    ) -> StepRef[T]: ...

    @overload
    def step(
        self, name: str, job: Performs[T | Requested], **options: Unpack[AddOptions]
    ) -> StepRef[T]: ...

    def step(self, name: str, job: Any, **options: Unpack[AddOptions]) -> StepRef[Any]:
        """Add a step as `add` does, and return a reference to it, whose `output` is an argument of
        other steps:

            page = flow.step("fetch", fetch.new(url="a.example"))
            flow.step("count", count.new(words=page.output.words))

        A step depends on those whose results it takes, without `deps`. The result is read and
        validated as the argument's type when the step is performed. It is None where the dependency
        has no result because it was skipped, or failed and that is ignored; an argument that does
        not take None then has the step discarded. Options and errors are those of `add`.
        """
        return self._added(name, job, options)

    def _added(self, name: str, job: Any, options: AddOptions) -> StepRef[Any]:
        raise NotImplementedError
