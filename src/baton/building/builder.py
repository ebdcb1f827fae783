"""The builder of workflows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self, Unpack
from uuid import UUID

from baton.building.fan_out import (
    JobOfModel,
    branches,
    checked_model_map,
    chosen_model,
    job_of_model,
)
from baton.building.insert import insert_all
from baton.building.typed_steps import AddOptions, TypedSteps
from baton.core.attributes import checked_tags, encoded_attributes
from baton.core.checks import checked_deadline, flag, parse_workflow_id
from baton.core.jsonvalue import encode
from baton.core.names import validate_step_name, validate_workflow_name
from baton.handles.draft import Draft
from baton.handles.workflow import WorkflowHandle, handle_of
from baton.runtime.ids import new_id
from baton.steps.reference import Dependency, StepRef, edges_of
from baton.steps.rules import NO_CONDITIONS, Conditions, Ignored, Rules, checked_rules
from baton.steps.step_job import StepJob, new_step, wait_step
from baton.steps.step_options import StepOptions
from baton.steps.wait_options import WaitStepOptions
from baton.store.ambient import EngineOrName, current
from baton.store.borrowed import CallersConnection
from baton.words.argument_errors import InvalidOptionError
from baton.words.rows import Completion, Job, NewStep
from baton.words.states import OnTimeout
from baton.workers.args import NewJob, references_of
from baton.workers.class_worker import with_arguments
from baton.workers.registry import held_spec


class Baton(TypedSteps):
    """A workflow under construction: named steps and what they depend on. Nothing is written before
    `insert`.

    `workflow_id` is a UUID or its text; a fresh one (version 7) unless given. A step whose
    dependency was cancelled or discarded is cancelled too, unless `ignore_cancelled` or
    `ignore_discarded`, of the workflow or of the step, says that such a dependency counts as
    satisfied. `debug` keeps what steps capture.

    `model_map` chooses the models of steps: roles, which steps name by `.add(…, model="smart")`, or
    names of steps, to names of models: `Baton(model_map={"smart": "gpt-5", "draft": "gpt-4o"})`.
    The choice is made when a step is added and stored with it, so that every process and every
    attempt sees the same `step.model`. A `model` that is not in the map is itself the model's name.

    `tags` and `attributes` are what workflows are found by (`insights.workflows`): up to 32 texts,
    and a JSON object of up to 8,192 bytes, such as `{"tenant": "acme"}`. They never change.

    `deadline` is when the workflow is cancelled unless it has ended: seconds or a timedelta from
    the insertion, or an aware datetime.

    `input` is any JSON value but null, or what pydantic can turn into it, up to 1 MiB: steps take
    it as an argument (`flow.input`, `flow.input_as(Order)`) or read it (`step.input(Order)`).
    `output` names the step whose result is that of the workflow: `completion.output`.

    Raises InvalidArgumentError, InvalidNameError, NotStorableError.
    """

    def __init__(
        self,
        workflow_id: UUID | str | None = None,
        workflow_name: str | None = None,
        ignore_cancelled: bool = False,
        ignore_discarded: bool = False,
        debug: bool = False,
        model_map: Mapping[str, str] | None = None,
        *,
        tags: Iterable[str] | None = None,
        attributes: Mapping[str, Any] | None = None,
        deadline: float | timedelta | datetime | None = None,
        input: object = None,
        output: str | None = None,
    ) -> None:
        given = _workflow_id(workflow_id)
        name = None if workflow_name is None else validate_workflow_name(workflow_name)
        self._ignore_cancelled = flag("ignore_cancelled", ignore_cancelled)
        self._ignore_discarded = flag("ignore_discarded", ignore_discarded)
        self._draft = Draft(
            given,
            name,
            flag("debug", debug),
            checked_tags(tags),
            encoded_attributes(attributes),
            checked_deadline(deadline),
            None if input is None else encode(input, what="the input of the workflow"),
            None if output is None else validate_step_name(output),
        )
        self._steps = self._draft.steps
        self._model_map = checked_model_map(model_map)

    @property
    def workflow_id(self) -> UUID:
        return self._draft.workflow_id

    @property
    def workflow_name(self) -> str | None:
        return self._draft.workflow_name

    @property
    def step_names(self) -> tuple[str, ...]:
        """The names of the steps, in the order added."""
        return tuple(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return name in self._steps

    def __repr__(self) -> str:
        return f"<Baton {self.workflow_name or ''} {self.workflow_id} with {len(self)} steps>"

    def add(
        self,
        name: str,
        job: StepJob,
        *,
        deps: Iterable[Dependency] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        run_when_skipped: bool = False,
        any_of: Iterable[Dependency] | None = None,
        when: Mapping[str, Any] | None = None,
        unless: Mapping[str, Any] | None = None,
        on_failure: bool = False,
        **options: Unpack[StepOptions],
    ) -> Self:
        """Add a step: a built worker (`FetchToken(api_key="…")`) or a function's job
        (`process.new(url="…")`).

        `deps` names the steps it waits for; they may be added later. A step whose result is one of
        its arguments (see `step`) is a dependency without that. Of the steps in `any_of` the
        first that completes is enough. The ignore flags default to the workflow's; a step whose
        dependencies were all skipped is skipped too, unless `run_when_skipped`.

        Once its dependencies have settled, the step is skipped unless its condition is met: with
        `when={"check": {"approved": True}}` the result of `check` has to contain that, as
        PostgreSQL's `@>` has it; `unless` is the opposite; of several dependencies all have to
        contain what is named. With `on_failure=True` one of `deps` has to have failed, or to have
        been cancelled; such a step ignores failures.

        The options default to the worker's: `queue`, `max_attempts`, `priority`, `tags`, `timeout`
        (seconds or timedelta per attempt), `model` (see `Baton`), and either `schedule_in` (from
        insertion) or `schedule_at` (aware datetime): the step runs no earlier, whenever its
        dependencies settle.

        Raises DuplicateStepError, InvalidNameError, InvalidArgumentError, NotStorableError at once,
        WorkflowInsertedError after an insertion; the graph as a whole is checked by `validate` and
        `insert`.
        """
        ignored = (ignore_cancelled, ignore_discarded, run_when_skipped)
        step = self._step(name, job, options, deps, ignored, (when, unless, on_failure), any_of)
        self._steps[step.name] = step
        return self

    def _added(self, name: str, job: Any, options: AddOptions) -> StepRef[Any]:
        made = with_arguments(job)
        self.add(name, made, **options)
        annotation = held_spec(made).returns() if isinstance(made, NewJob) else Any
        return StepRef(self._draft, name, annotation)

    def add_models(
        self,
        name: str,
        models: Iterable[str],
        job: StepJob | JobOfModel,
        *,
        deps: Iterable[Dependency] = (),
        synthesis: StepJob | None = None,
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        **options: Unpack[StepOptions],
    ) -> tuple[str, ...]:
        """Add one step per model, and a step that makes one of their answers; returns the names in
        the order of the models, the synthesis last.

            workflow.add_models(
                "draft",
                models=["gpt-5", "claude-sonnet-4"],
                job=lambda model: ask.new(model=model),
                deps=["question"],
                synthesis=Combine(),
            )

        `models` are names of models or roles of the model map. `job` is a job, or a function that
        makes one for the name of a model, which is also the step's `step.model`. `deps` and
        `options` are those of the models' steps, named `draft.gpt-5` and so on, numbered where such
        a step is there already. The synthesis is named `draft` and reads
        `await step.results_by_model()`. The ignore flags are its own: with `ignore_discarded=True`
        it works with the answers there are.

        Adds all or nothing. Raises as `add` does, and InvalidOptionError for no model, or one
        twice.
        """
        name = validate_step_name(name)
        model = options.get("model")
        if model is not None:
            raise InvalidOptionError("model", model, "nothing: models=[…] tells them")
        made = branches(name, models, self._model_map, self._steps)
        steps = [
            replace(self._step(branch, job_of_model(job, model), options, deps), model=model)
            for branch, model in made.items()
        ]
        if synthesis is not None:
            ignored = (ignore_cancelled, ignore_discarded, False)
            steps.append(self._step(name, synthesis, {}, tuple(made), ignored))
        self._steps.update((step.name, step) for step in steps)
        return tuple(step.name for step in steps)

    def wait(
        self,
        name: str,
        *,
        any_of: Iterable[str] | None = None,
        all_of: Iterable[str] | None = None,
        at_least: tuple[int, Iterable[str]] | None = None,
        on_timeout: OnTimeout | str = OnTimeout.RESULT,
        deps: Iterable[Dependency] = (),
        ignore_cancelled: bool | None = None,
        ignore_discarded: bool | None = None,
        run_when_skipped: bool = False,
        when: Mapping[str, Any] | None = None,
        unless: Mapping[str, Any] | None = None,
        on_failure: bool = False,
        **options: Unpack[WaitStepOptions],
    ) -> Self:
        """Add a wait step: a step that waits for events, without a worker and without a slot.

        It waits for the first of `any_of`, for `all_of`, or for `at_least=(k, [...])`, once its
        dependencies have settled; its `timeout` (seconds or timedelta) runs from then, and without
        one it waits for ever. Its result is a dict: `outcome` ("events" or "timeout"), `events`
        (payloads by name), `order` and `winner` (by arrival), `missing`, and `default` where one
        was given and time is over. With `on_timeout` "cancel" or "discard" its step fails instead.
        `correlation_key` lets `send_event(None, name, correlation_key=…)` reach it; `prompt` tells
        people what is asked of them; `payload_type` is the pydantic type of the payloads, or a
        mapping of event name to type: what is not valid is refused. A wait step whose condition
        (`when`, `unless`, `on_failure`; see `add`) is not met is skipped, and waits for nothing.

        Raises DuplicateStepError, InvalidNameError, InvalidOptionError, NotStorableError.
        """
        name = self._new_name(name)
        ignored = (ignore_cancelled, ignore_discarded, run_when_skipped)
        rules = self._rules(deps, ignored, (when, unless, on_failure))
        wants = {"any_of": any_of, "all_of": all_of, "at_least": at_least}
        self._steps[name] = wait_step(name, wants, on_timeout, rules, options)
        return self

    def validate(self) -> list[str]:
        """Check the graph; returns its step names in a topological order, dependencies first.

        Raises EmptyWorkflowError, UnknownDependencyError, SelfDependencyError, CycleError.
        """
        return self._draft.order()

    async def insert(
        self, *, engine: EngineOrName | None = None, conn: CallersConnection | None = None
    ) -> list[Job]:
        """Insert the workflow whole or not at all; returns its jobs in the order added. See
        `insert_all`.
        """
        return await insert_all([self], engine=engine, conn=conn)

    def handle(self, *, engine: EngineOrName | None = None) -> WorkflowHandle:
        """The handle of the inserted workflow, on the engine that is given, else on the one that
        inserted it, else on the ambient one. Raises NoEngineError, InvalidArgumentError.
        """
        instance = current(engine if engine is not None else self._draft.engine)
        return handle_of(instance, self.workflow_id)

    async def completion(
        self, *, timeout: float | None = None, engine: EngineOrName | None = None
    ) -> Completion:
        """Wait for the end of the inserted workflow: the short form of `handle().completion()`."""
        return await self.handle(engine=engine).completion(timeout=timeout)

    def _new_name(self, given: str) -> str:
        name = validate_step_name(given)
        self._draft.check_new(name)
        return name

    def _step(
        self,
        name: str,
        job: StepJob,
        options: StepOptions,
        deps: Iterable[Dependency],
        ignored: Ignored = (None, None, False),
        conditions: Conditions = NO_CONDITIONS,
        any_of: Iterable[Dependency] | None = None,
    ) -> NewStep:
        name = self._new_name(name)
        made = with_arguments(job)
        found = references_of(made)
        edges = edges_of(self._draft, name, found) if found else ()
        rules = self._rules(deps, ignored, conditions, any_of, edges)
        step = new_step(name, made, rules, options)
        if not self._model_map:
            return step
        return replace(step, model=chosen_model(self._model_map, step.name, step.model))

    def _rules(
        self,
        deps: Iterable[Dependency],
        ignored: Ignored,
        conditions: Conditions,
        any_of: Iterable[Dependency] | None = None,
        edges: Collection[str] = (),
    ) -> Rules:
        defaults = (self._ignore_cancelled, self._ignore_discarded)
        return checked_rules(self._draft, deps, any_of, ignored, conditions, defaults, edges)


def _workflow_id(given: UUID | str | None) -> UUID:
    if given is None:
        return new_id()
    return parse_workflow_id(given, _named_instead)


def _named_instead(given: object) -> str:
    if not isinstance(given, str):
        return ""
    return f"; a name is given as Baton(workflow_name={given!r})"
