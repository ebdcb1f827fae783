"""What waits and the payloads of events raise."""

from __future__ import annotations

from collections.abc import Iterable

from baton.words.base_error import BatonError
from baton.words.step_errors import StepError


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
