"""What a call raises that was given something it does not take, or cannot store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from baton.words.base_error import BatonError, shown


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
    """What a call was given is not what it takes. `subject` is what the text calls it:
    `argument=given`, unless the value must not be shown or belongs to something that has a name.
    """

    argument: str
    given: object
    expected: str
    subject: str

    def __init__(
        self,
        argument: str,
        given: object,
        expected: str,
        *,
        subject: str | None = None,
        **fields: Any,
    ) -> None:
        subject = subject or f"{argument}={shown(given)}"
        super().__init__(
            f"{subject}: expected {expected}",
            subject=subject,
            argument=argument,
            given=given,
            expected=expected,
            **fields,
        )


class InvalidOptionError(InvalidArgumentError):
    """A setting or an option of a call has a wrong value, or a name that there is not."""

    option: str

    def __init__(
        self, option: str, given: object, expected: str, *, subject: str | None = None
    ) -> None:
        super().__init__(option, given, expected, subject=subject, option=option)


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


class MissingExtraError(BatonError):
    extra: str
    what: str

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(
            f"{what}, which needs: pip install 'baton-workflows[{extra}]'", extra=extra, what=what
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
