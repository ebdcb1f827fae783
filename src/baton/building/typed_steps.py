"""Steps with typed results: what `flow.step` returns, and what its result is as an argument."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar, Unpack, overload

from baton.core.names import validate_step_name
from baton.core.near_names import did_you_mean
from baton.core.outcome import Cancel, Discard, Skip, Snooze
from baton.core.references import INPUT, Place
from baton.handles.draft import HasDraft
from baton.steps.reference import Dependency, Reference, StepRef, dependency_name, reference
from baton.steps.results import typed_input
from baton.steps.step_options import StepOptions
from baton.words.graph_errors import StepNotAddedError
from baton.words.workflow_errors import NoInputError
from baton.workers.args import NewJob
from baton.workers.class_worker import Worker
from baton.workers.registry import find

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
    """The part of the builder that tells the types of results, and of the workflow's input."""

    def __getitem__(self, name: str) -> StepRef[Any]:
        """A step that was added, by its name: `flow["review"].output` is the result of a wait step
        as an argument. Type checkers do not know its type. Raises StepNotAddedError.
        """
        step = self._draft.steps.get(name)
        if step is None:
            known = list(self._draft.steps)
            raise StepNotAddedError(name, known, did_you_mean(str(name), known))
        spec = find(step.worker)
        return StepRef(self._draft, name, Any if spec is None else spec.returns())

    @property
    def input(self) -> Any:
        """The workflow's input, or a part of it (`flow.input.customer`), as an argument of steps: a
        reference. Type checkers know its type by `input_as`. Raises NoInputError.
        """
        return self._input(Any)

    def input_as(self, type: type[T]) -> T:
        """The workflow's input as `input` gives it, of a type that it is read as: type checkers see
        it, and wrong fields are errors when the graph is built.

        Raises NoInputError, InputTypeError.
        """
        made: Any = self._input(type)
        typed_input(str(self._draft.input), type)
        return made  # type: ignore[no-any-return]

    def _input(self, annotation: Any) -> Reference:
        if self._draft.input is None:
            raise NoInputError(self._draft.workflow_id)
        return reference(self._draft, Place(INPUT, None, ()), annotation)

    @property
    def output(self) -> str | None:
        """The name of the step whose result is the workflow's output: `completion.output`,
        `handle.output()`. It is set to a step, as `step` returned it or by its name, which may be
        added later. Raises InvalidNameError, ForeignReferenceError, WorkflowInsertedError.
        """
        return self._draft.output_step

    @output.setter
    def output(self, step: Dependency) -> None:
        name = dependency_name(self._draft, "output", step)
        self._draft.declare_output(validate_step_name(name))

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

    @overload
    def step(self, name: str, job: Worker, **options: Unpack[AddOptions]) -> StepRef[Any]: ...

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
