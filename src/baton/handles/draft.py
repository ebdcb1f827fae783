"""A workflow under construction as `insert` sees it: `Baton` holds it, and users do not see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from baton.core.dag import topological_order
from baton.store.ambient import Instance
from baton.words.argument_errors import InvalidArgumentError
from baton.words.graph_errors import DuplicateStepError, EmptyWorkflowError, UnknownOutputError
from baton.words.rows import NewStep, NewWorkflow
from baton.words.workflow_errors import WorkflowInsertedError


class Draft:
    """The steps of one workflow, and whether more may be added."""

    __slots__ = (
        "_seals",
        "attributes",
        "deadline",
        "debug",
        "engine",
        "input",
        "output_step",
        "steps",
        "tags",
        "workflow_id",
        "workflow_name",
    )

    def __init__(
        self,
        workflow_id: UUID,
        workflow_name: str | None,
        debug: bool,
        tags: tuple[str, ...],
        attributes: str | None,
        deadline: float | datetime | None,
        input: str | None = None,
        output_step: str | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self.workflow_name = workflow_name
        self.debug = debug
        self.tags = tags
        self.attributes = attributes
        self.deadline = deadline
        self.input = input
        self.output_step = output_step
        self.steps: dict[str, NewStep] = {}
        self.engine: Instance | None = None
        """The engine that it was last inserted through, if any."""
        self._seals = 0

    def check_new(self, name: str) -> None:
        """Raises WorkflowInsertedError, DuplicateStepError where a step may not be added."""
        if self._seals:
            raise WorkflowInsertedError(self.workflow_id, name)
        if name in self.steps:
            raise DuplicateStepError(name)

    def declare_output(self, name: str) -> None:
        """Raises WorkflowInsertedError: the output was written with the workflow."""
        if self._seals:
            raise WorkflowInsertedError(self.workflow_id, name)
        self.output_step = name

    def order(self) -> list[str]:
        """The names of the steps, dependencies first. Raises GraphError."""
        return list(topological_order(tuple(self.steps.values())))

    def prepared(self) -> NewWorkflow:
        """The checked workflow as `insert` writes it, but for the trace context. Raises
        GraphError.
        """
        self.order()
        if self.output_step is not None and self.output_step not in self.steps:
            raise UnknownOutputError(self.output_step, self.steps)
        return NewWorkflow(
            self.workflow_id,
            self.workflow_name,
            tuple(self.steps.values()),
            self.debug,
            self.tags,
            self.attributes,
            self.deadline,
            self.input,
            self.output_step,
        )

    def seal(self, through: Instance | None) -> None:
        """Take no more steps: it is being inserted, they would never be written."""
        self.engine = through
        self._seals += 1

    def unseal(self) -> None:
        """Undo `seal`: the insertion failed."""
        self._seals -= 1


class HasDraft:
    """The builder of a workflow: what `insert_all` takes."""

    _draft: Draft


def draft_of(workflow: HasDraft) -> Draft:
    """The draft that a builder holds."""
    return workflow._draft


def steps_only(workflow: Any) -> Draft:
    """The draft of a builder that brings steps for another workflow. Raises InvalidArgumentError,
    EmptyWorkflowError.
    """
    expected = "a builder of steps: extend(Baton().add(…))"
    if not isinstance(workflow, HasDraft):
        raise InvalidArgumentError("more", workflow, expected)
    draft = draft_of(workflow)
    for field in ("workflow_name", "tags", "attributes", "deadline", "input", "output_step"):
        if getattr(draft, field):
            option = field.removesuffix("_step")
            raise InvalidArgumentError("more", workflow, f"{expected} without {option}=…")
    if not draft.steps:
        raise EmptyWorkflowError
    return draft
