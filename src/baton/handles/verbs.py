"""What people do to a workflow by its handle, each an action that is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self
from uuid import UUID

from baton.core.checks import check_reason, parse_workflow_id
from baton.core.errortext import sanitize
from baton.core.names import validate_step_name
from baton.handles.draft import HasDraft, steps_only
from baton.handles.parts import EngineParts
from baton.reading.missing_steps import missing_step
from baton.runs.actions import Member, Told, emit_action, told
from baton.runs.cancel import cancel_step, cancel_workflow
from baton.runs.complete import complete_step
from baton.runs.extend import asked_growth, extend_workflow
from baton.runs.fork import asked_fork, fork_workflow
from baton.runs.pause import pause_workflow, resume_workflow
from baton.runs.retry import Retry, asked, retry_workflow
from baton.runtime.ids import new_id
from baton.runtime.tasks import to_the_end
from baton.settling.wait_events import emit_settled_waits
from baton.steps.results import encode_result
from baton.store.ambient import Instance, opened
from baton.store.store import Store, store_of
from baton.telemetry.insertions import emit_grown, emit_inserted
from baton.words.bulk import Bulk
from baton.words.effects import Effects
from baton.words.rows import Job
from baton.words.runs import Retried, RetryMode
from baton.words.states import StepState
from baton.words.workflow_errors import StepSettledError, UnknownWorkflowError


class Verb(Protocol):
    """What somebody does to a workflow."""

    async def __call__(
        self, database: Store, workflow_id: UUID, told: Told, /, *, notify: bool
    ) -> Effects: ...


class WorkflowVerbs:
    """The verbs of a WorkflowHandle that change the course of its workflow."""

    def __init__(self, parts: EngineParts, workflow_id: UUID | str) -> None:
        self._parts = parts
        self._workflow_id = parse_workflow_id(workflow_id)

    @property
    def workflow_id(self) -> UUID:
        return self._workflow_id

    def __repr__(self) -> str:
        return f"<WorkflowHandle {self._workflow_id} of engine {self._name!r}>"

    @property
    def _name(self) -> str:
        return self._parts.engine.settings.name

    def _opened(self, call: str) -> Instance:
        return opened(call, self._parts.engine)

    async def cancel(self, reason: str = "cancelled by request", *, by: str | None = None) -> int:
        """Cancel every unfinished step of the workflow; returns how many jobs that cancelled.

        Steps that run are interrupted, wherever they run, and whatever they still report is
        dropped. The workflow ends at once, as cancelled unless a step was discarded. A workflow
        that has ended is left alone (0). `by` says who cancels, for the record of actions.

        Raises UnknownWorkflowError; UnavailableError when it is unknown whether that was done, so
        that the call may be made again.
        """
        self._opened("cancel")
        check_reason(reason)
        actor = told(by, None).by
        return await to_the_end(self._cancel(sanitize(reason), actor))

    async def _cancel(self, reason: str, by: str | None, member: Member | None = None) -> int:
        engine = self._parts.engine
        effects = await cancel_workflow(
            store_of(engine),
            self._workflow_id,
            reason,
            notify=engine.settings.notify,
            by=by,
            member=member,
        )
        if effects is None:
            raise UnknownWorkflowError(self._workflow_id)
        self._done(effects)
        return len(effects.accepted)

    async def cancel_step(
        self, name: str, reason: str = "cancelled by request", *, by: str | None = None
    ) -> int:
        """Cancel one step, and below it whatever does not ignore that; returns how many jobs that
        cancelled.

        A step that runs is interrupted, wherever it runs, and whatever it still reports is dropped.
        `by` says who cancels, for the record of actions.
        Raises StepSettledError, UnknownWorkflowError, UnknownStepError; UnavailableError when it is
        unknown whether that was done, so that the call may be made again.
        """
        self._opened("cancel_step")
        step = validate_step_name(name)
        check_reason(reason)
        actor = told(by, None).by
        return await to_the_end(self._cancel_step(step, sanitize(reason), actor))

    async def _cancel_step(self, step: str, reason: str, by: str | None) -> int:
        engine = self._parts.engine
        found = await cancel_step(
            store_of(engine), self._workflow_id, step, reason, notify=engine.settings.notify, by=by
        )
        if found is None:
            raise await missing_step(store_of(engine), self._workflow_id, step)
        self._done(found.effects)
        if found.ended is not None:
            raise StepSettledError(self._workflow_id, step, StepState(found.ended))
        return len(found.effects.cancelled)

    async def complete_step(
        self,
        name: str,
        result: object = None,
        *,
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Settle a step by hand as completed with this result, whether it runs, waits, has not come
        so far, or failed; what depends on it goes on.

        An attempt that runs is interrupted and dropped, open waits of the step end. Of a step that
        failed, what its failure had cancelled is begun after all; a workflow that had ended begins
        its next run. Steps that went on in spite of the failure stay as they are.
        Raises NotStorableError, TooLargeError (`result` is stored as any result); StepSettledError
        for a completed step, UnknownWorkflowError, UnknownStepError, DeletedJobError;
        UnavailableError when it is unknown whether that was done.
        """
        engine = self._opened("complete_step")
        step = validate_step_name(name)
        text = encode_result(result, engine.settings.result_limit)
        who = told(by, reason)

        async def work() -> None:
            effects = await complete_step(
                store_of(engine), self._workflow_id, step, text, who, notify=engine.settings.notify
            )
            if effects is None:
                raise await missing_step(store_of(engine), self._workflow_id, step)
            self._done(effects)

        await to_the_end(work())

    async def retry(
        self,
        mode: RetryMode | str = RetryMode.FAILED,
        *,
        steps: Iterable[str] | None = None,
        args: Mapping[str, Mapping[str, Any]] | None = None,
        keep_memos: bool = False,
        interrupt: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> Retried:
        """Begin steps anew, in a new run if the workflow has ended.

        `mode` is "failed" (what was cancelled or discarded), "failed_and_downstream" (also what
        completed below, because it ignores failures) or "all"; or `steps` names some: these and
        everything below them, whatever their state. `args` replaces arguments by step. A step that
        is begun anew has a full budget of attempts; its attempts and errors go on. What it noted
        (memos) and the waits inside it are dropped unless `keep_memos`. A step that runs is refused
        unless `interrupt`: then what it comes to is dropped. What is replaced stays readable as
        history.

        Raises UnknownWorkflowError, UnknownStepError, InvalidOptionError, InvalidArgsError,
        NotStorableError; NothingToRetryError, StepRunningError, FailedDependencyError,
        DeletedJobError; nothing was changed then. UnavailableError when it is unknown whether it
        was done.
        """
        self._opened("retry")
        given = asked(mode, steps, args, keep_memos=keep_memos, interrupt=interrupt)
        return await to_the_end(self._retry(given, told(by, reason)))

    async def _retry(self, given: Retry, told: Told) -> Retried:
        engine = self._parts.engine
        done, effects = await retry_workflow(
            store_of(engine), self._workflow_id, given, told, notify=engine.settings.notify
        )
        self._done(effects)
        return done

    async def fork(
        self,
        from_steps: Iterable[str] | None = None,
        *,
        args: Mapping[str, Mapping[str, Any]] | None = None,
        workflow_name: str | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Self:
        """Begin a new workflow like this one, and return its handle.

        The named steps and everything below them are performed; all others must have settled, and
        are taken over with their results. None: all are performed. `args` replaces arguments by
        step; the name stays unless `workflow_name` gives another. Tags and attributes are taken
        over, events and memos are not. This workflow stays as it is.

        Raises UnknownWorkflowError, UnknownStepError, InvalidOptionError, InvalidArgsError,
        NotStorableError, FailedDependencyError, ForkUnsettledError, DeletedJobError;
        UnavailableError when it is unknown whether it was done: then the recorded actions say so,
        and a second call would begin a second workflow.
        """
        engine = self._opened("fork")
        given = asked_fork(from_steps, args, workflow_name)
        who, fork_id = told(by, reason), new_id()

        async def work() -> Self:
            new, effects = await fork_workflow(
                store_of(engine),
                self._workflow_id,
                fork_id,
                given,
                who,
                notify=engine.settings.notify,
            )
            emit_inserted(store_of(engine).engine, [new])
            self._done(effects)
            return type(self)(self._parts, fork_id)

        return await to_the_end(work())

    async def extend(
        self,
        more: HasDraft,
        *,
        before: Mapping[str, Iterable[str]] | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> list[Job]:
        """Add the steps of a builder to the workflow, which has not ended; returns their jobs in
        the order added.

        Their `deps` may also be steps of the workflow; those that have settled count as they have
        settled. `before={"new": ["join"]}` has steps of the workflow wait for new ones too: they
        must still wait for another step. The builder brings steps alone (no name, tags, attributes
        or deadline), and takes no more afterwards.

        Raises UnknownWorkflowError, WorkflowFinishedError, InvalidOptionError, InvalidArgumentError
        and every GraphError (a name that the workflow has, an unknown dependency, a cycle, a step
        that waits for no other any more); nothing was written then. UnavailableError when it is
        unknown whether it was done.
        """
        engine = self._opened("extend")
        draft = steps_only(more)
        growth, who = asked_growth(tuple(draft.steps.values()), before), told(by, reason)

        async def work() -> list[Job]:
            draft.seal(engine)
            try:
                jobs, effects = await extend_workflow(
                    store_of(engine),
                    self._workflow_id,
                    growth,
                    who,
                    notify=engine.settings.notify,
                )
            except BaseException:
                draft.unseal()
                raise
            self._done(effects)
            return jobs

        return await to_the_end(work())

    async def pause(self, reason: str | None = None, *, by: str | None = None) -> bool:
        """Start no further step of the workflow; False when it is paused already.

        What runs goes on and settles; events are taken, and the time of waits that have begun runs
        on. `by` and `reason` are for the record of actions.
        Raises WorkflowFinishedError, UnknownWorkflowError; UnavailableError when it is unknown
        whether that was done, so that the call may be made again.
        """
        self._opened("pause")
        return await to_the_end(self._act(pause_workflow, told(by, reason)))

    async def resume(self, reason: str | None = None, *, by: str | None = None) -> bool:
        """Undo `pause`: what was held back may run, at its own time; False when the workflow is not
        paused. Raises as `pause` does.
        """
        self._opened("resume")
        return await to_the_end(self._act(resume_workflow, told(by, reason)))

    async def _act(self, verb: Verb, told: Told) -> bool:
        engine = self._parts.engine
        notify = engine.settings.notify
        effects = await verb(store_of(engine), self._workflow_id, told, notify=notify)
        self._done(effects)
        return bool(effects.actions)

    def _done(self, effects: Effects) -> None:
        """Tell of what an action has done; what runs here for steps that it took is interrupted."""
        parts = self._parts
        for action in effects.actions:
            emit_action(store_of(parts.engine), action)
        emit_settled_waits(self._name, effects.waits)
        emit_grown(self._name, effects.grown)
        parts.hooks.run(effects.cancelled)
        parts.finished(effects.completions)
        parts.runtime.producer.interrupt_claims(effects.interrupted)
        for queue in effects.released:
            parts.runtime.producer.wake(queue)


async def act(parts: EngineParts, workflow_id: UUID, bulk: Bulk, told: Told) -> None:
    """Do to one workflow what a bulk operation does to all. Raises PassedByError, and what the verb
    raises.
    """
    one = WorkflowVerbs(parts, workflow_id)
    match bulk.action:
        case "cancel":
            await to_the_end(one._cancel(told.reason or "", told.by, told.member))
        case "retry":
            given = bulk.options
            retry = asked(
                given["mode"],
                given["steps"],
                given["args"],
                keep_memos=given["keep_memos"],
                interrupt=given["interrupt"],
            )
            await to_the_end(one._retry(retry, told))
        case _:
            verb = pause_workflow if bulk.action == "pause" else resume_workflow
            await to_the_end(one._act(verb, told))
