"""What waits and events raise; part of the tree of `words.errors`."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from baton.words.errors import BatonError, DatabaseError, StepError


class WaitMismatchError(StepError):
    step: str | None
    replay_key: str
    given: str
    stored: str

    def __init__(self, step: str | None, replay_key: str, given: str, stored: str) -> None:
        super().__init__(
            f"step {step!r} waits under the replay key {replay_key!r} for {given}, and before for "
            f"{stored}: run again from the top it must come to the same waits in the same order; "
            "give waits that may change places a replay_key='…'",
            step=step,
            replay_key=replay_key,
            given=given,
            stored=stored,
        )


class WaitSwallowedError(StepError):
    step: str | None

    def __init__(self, step: str | None) -> None:
        super().__init__(
            f"step {step!r} caught the suspension of its wait and went on; re-raise it: catch "
            "Exception, not BaseException, around a wait",
            step=step,
        )


class WaitNotPossibleError(StepError):
    step: str | None
    why: str

    def __init__(self, step: str | None, why: str) -> None:
        super().__init__(f"step {step!r} cannot wait: {why}", step=step, why=why)


class InvalidPayloadError(BatonError):
    event: str
    problems: tuple[str, ...]

    def __init__(self, event: str, problems: Iterable[str]) -> None:
        problems = tuple(problems)
        super().__init__(
            f"the payload of event {event!r} is not what the wait asks for: {'; '.join(problems)}; "
            "nothing was changed",
            event=event,
            problems=problems,
        )


class WorkflowFinishedError(BatonError):
    workflow_id: UUID

    def __init__(self, workflow_id: UUID) -> None:
        super().__init__(
            f"workflow {workflow_id} has finished: no event can reach it", workflow_id=workflow_id
        )


class MissingExtraError(BatonError):
    extra: str

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(
            f"{what}, which needs: pip install 'baton-workflows[{extra}]'", extra=extra, what=what
        )


class IsolationError(DatabaseError):
    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs a transaction of isolation level READ COMMITTED, and conn= has a higher "
            "one: what was committed since it began would not be seen",
            what=what,
        )
