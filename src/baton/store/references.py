"""Reads what the stored arguments of a step refer to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from baton.core.jsonvalue import encode
from baton.core.references import Place
from baton.store.results import read_for_step, step_state
from baton.store.store import Store
from baton.words.states import StepState


class ReferredValue(NamedTuple):
    """What is at a place: `value` is JSON text, None where nothing is there. `stored`: the whole is
    there, of which the place is a part. Of another step than a dependency nothing is read.
    """

    declared: bool
    state: StepState | None
    stored: bool
    value: str | None


async def read_references(
    database: Store, job_id: int, places: Sequence[Place]
) -> list[ReferredValue]:
    """What is at these places, in their order; nothing where the step is gone."""
    names = [place.step for place in places]
    paths = [encode(place.path, what="a path") for place in places]
    rows = await read_for_step(database, "read_references", job_id, names, paths)
    return [
        ReferredValue(
            bool(row["declared"]), step_state(row["state"]), bool(row["stored"]), row["value"]
        )
        for row in rows
    ]
