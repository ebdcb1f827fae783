"""Everything Baton raises; the tree is drawn in `baton.errors`. Each error carries its facts as
fields. The database's errors have a file of their own and are found here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from baton.words.base_error import BatonError as BatonError, shown
from baton.words.database_errors import (
    ConnectionTypeError as ConnectionTypeError,
    DatabaseError as DatabaseError,
    MigrationError as MigrationError,
    MissingRightError as MissingRightError,
    SchemaMissingError as SchemaMissingError,
    UnavailableError as UnavailableError,
)
from baton.words.rows import UnsettledStep


class GraphError(BatonError):
    """The graph given by the caller cannot be a workflow; nothing was written."""


class EmptyWorkflowError(GraphError):
    def __init__(self) -> None:
        super().__init__(
            "the workflow has no steps; add at least one: Baton().add('a', MyWorker()).insert()"
        )


class DuplicateStepError(GraphError):
    step: str

    def __init__(self, step: str) -> None:
        super().__init__(f"a step named {step!r} was added already; names are unique", step=step)


class UnknownDependencyError(GraphError):
    step: str
    dependency: str
    known: tuple[str, ...]

    def __init__(self, step: str, dependency: str, known: Iterable[str], hint: str = "") -> None:
        known = tuple(known)
        shown = ", ".join(repr(name) for name in known[:10]) + (", …" if len(known) > 10 else "")
        super().__init__(
            f"step {step!r} depends on {dependency!r}, which is not a step of this workflow "
            f"(steps: {shown}){hint}",
            step=step,
            dependency=dependency,
            known=known,
        )


class SelfDependencyError(GraphError):
    step: str

    def __init__(self, step: str) -> None:
        super().__init__(f"step {step!r} depends on itself", step=step)


class CycleError(GraphError):
    path: tuple[str, ...]

    def __init__(self, path: Sequence[str]) -> None:
        path = tuple(path)
        shown = path if len(path) <= 12 else (*path[:6], "…", *path[-5:])
        super().__init__(f"the steps form a cycle: {' -> '.join(map(repr, shown))}", path=path)


class InvalidNameError(BatonError):
    kind: str
    given: object
    expected: str

    def __init__(self, kind: str, given: object, expected: str) -> None:
        super().__init__(
            f"{kind} {shown(given)} is not a valid name: expected {expected}",
            kind=kind,
            given=given,
            expected=expected,
        )


class InvalidArgumentError(BatonError):
    """What a call was given is not what it takes."""

    argument: str
    given: object
    expected: str

    def __init__(self, argument: str, given: object, expected: str, **fields: Any) -> None:
        super().__init__(
            f"{argument}={shown(given)}: expected {expected}",
            argument=argument,
            given=given,
            expected=expected,
            **fields,
        )


class InvalidOptionError(InvalidArgumentError):
    """A setting or an option of a call has a wrong value, or a name that there is not."""

    option: str

    def __init__(self, option: str, given: object, expected: str) -> None:
        super().__init__(option, given, expected, option=option)


class InvalidArgsError(BatonError):
    worker: str
    given: object
    problems: tuple[str, ...]

    def __init__(self, worker: str, given: object, problems: Iterable[str]) -> None:
        problems = tuple(problems)
        super().__init__(
            f"invalid arguments for worker {worker!r}: {'; '.join(problems)} "
            f"(given: {shown(given)})",
            worker=worker,
            given=given,
            problems=problems,
        )


class NotStorableError(BatonError):
    what: str
    problem: str

    def __init__(self, what: str, problem: str, **fields: Any) -> None:
        super().__init__(
            f"{what} cannot be stored: {problem}", what=what, problem=problem, **fields
        )


class TooLargeError(NotStorableError):
    size: int
    limit: int

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            what,
            f"it is at least {size} bytes of JSON, the limit is {limit}; store the data "
            "elsewhere and pass a reference",
            size=size,
            limit=limit,
        )


class WorkerError(BatonError):
    """The definition or look-up of a worker."""


class StepError(BatonError):
    """A step asked for something it may not have."""


class UndeclaredDependencyError(StepError):
    step: str
    dependency: str
    declared: tuple[str, ...]

    def __init__(self, step: str, dependency: str, declared: Iterable[str]) -> None:
        declared = tuple(declared)
        shown = ", ".join(map(repr, declared[:10])) + (", …" if len(declared) > 10 else "")
        super().__init__(
            f"step {step!r} reads the result of {dependency!r}, which is not among its "
            f"dependencies ({shown or 'none'}); declare it: "
            f".add({step!r}, …, deps=[{dependency!r}])",
            step=step,
            dependency=dependency,
            declared=declared,
        )


class NoResultError(StepError):
    step: str | None
    dependency: str
    state: str | None

    def __init__(self, step: str | None, dependency: str, state: str | None) -> None:
        reads = "" if step is None else f"step {step!r} reads the result of {dependency!r}: "
        super().__init__(
            f"{reads}step {dependency!r} has no stored result (settled state: {state})",
            step=step,
            dependency=dependency,
            state=state,
        )


class ResultTypeError(StepError):
    step: str | None
    dependency: str
    expected: object
    problems: tuple[str, ...]

    def __init__(
        self, step: str | None, dependency: str, expected: object, problems: Iterable[str]
    ) -> None:
        problems = tuple(problems)
        reader = "" if step is None else f", read by step {step!r},"
        super().__init__(
            f"the result of {dependency!r}{reader} is not a "
            f"{getattr(expected, '__name__', expected)}: {'; '.join(problems)}",
            step=step,
            dependency=dependency,
            expected=expected,
            problems=problems,
        )


class StepTimeoutError(StepError, TimeoutError):
    step: str | None
    timeout: float

    def __init__(self, step: str | None, timeout: float) -> None:
        super().__init__(
            f"step {step!r} took longer than its timeout of {timeout} s", step=step, timeout=timeout
        )


class WorkflowExistsError(BatonError):
    workflow_id: UUID

    def __init__(self, workflow_id: UUID) -> None:
        super().__init__(f"workflow {workflow_id} was inserted already", workflow_id=workflow_id)


class WorkflowInsertedError(BatonError):
    workflow_id: UUID
    step: str

    def __init__(self, workflow_id: UUID, step: str) -> None:
        super().__init__(
            f"step {step!r} is too late: workflow {workflow_id} is inserted; build a new one",
            workflow_id=workflow_id,
            step=step,
        )


class UnknownWorkflowError(BatonError):
    workflow_id: UUID
    pruned: bool

    def __init__(self, workflow_id: UUID, *, pruned: bool = False) -> None:
        text = f"there is no workflow {workflow_id}"
        if pruned:
            text += " any more: it was there when this call began to wait, and its rows were pruned"
        else:
            text += (
                ": was 'await workflow.insert()' forgotten, its transaction not committed, or the "
                "workflow pruned?"
            )
        super().__init__(text, workflow_id=workflow_id, pruned=pruned)


class UnknownStepError(BatonError):
    workflow_id: UUID
    step: str

    def __init__(self, workflow_id: UUID, step: str) -> None:
        super().__init__(
            f"workflow {workflow_id} has no step named {step!r}, or is unknown",
            workflow_id=workflow_id,
            step=step,
        )


class CompletionTimeoutError(BatonError, TimeoutError):
    workflow_id: UUID
    timeout: float
    unsettled: int | None = None  # as the rest, when the database did not tell in time
    steps: tuple[UnsettledStep, ...] = ()
    queues: tuple[str, ...] = ()

    def __init__(self, workflow_id: UUID, timeout: float, why: str = "", **facts: Any) -> None:
        super().__init__(
            f"workflow {workflow_id} did not finish within {timeout} s; it goes on{why}",
            workflow_id=workflow_id,
            timeout=timeout,
            **facts,
        )


class EngineError(BatonError):
    """The life cycle or the settings of an engine."""


class NoEngineError(EngineError):
    name: str
    running: tuple[str, ...]
    elsewhere: tuple[str, ...]

    def __init__(
        self,
        name: str = "default",
        running: Iterable[str] = (),
        elsewhere: Iterable[str] = (),
    ) -> None:
        running, elsewhere = tuple(running), tuple(elsewhere)
        listed = ", ".join(map(repr, running))
        advice = "use 'async with Engine(dsn): …', or pass engine=… or conn=…"
        if running:
            advice = f"running are {listed}: pass engine={running[0]!r}"
        elif elsewhere:
            advice = (
                f"in another event loop of this process {', '.join(map(repr, elsewhere))} runs: "
                "call it there, with asyncio.run_coroutine_threadsafe(…, loop), or start an engine "
                "in this loop"
            )
        super().__init__(
            f"no engine named {name!r} is running here; {advice}",
            name=name,
            running=running,
            elsewhere=elsewhere,
        )


class EventLoopError(EngineError):
    what: str

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} was started in another event loop, to which its connections belong: call it "
            "there, with asyncio.run_coroutine_threadsafe(…, loop), or start another one in this "
            "loop",
            what=what,
        )


class EngineStateError(EngineError):
    state: str
    expected: str
    call: str

    def __init__(self, state: str, expected: str, call: str = "this call") -> None:
        early = expected == "running" and state in ("new", "starting")
        advice = "use `async with engine`" if early else "an engine runs once, make another one"
        if state == "forked":
            advice = "it was started before this process was forked, make another one here"
        text = f"{call} needs a {expected} engine, this one is {state}: {advice}"
        super().__init__(text, state=state, expected=expected, call=call)
