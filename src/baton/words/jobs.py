"""What becomes a step."""

from __future__ import annotations


class StepJob:
    """A worker's instance, or a function's job: what `add` takes."""

    __slots__ = ()
