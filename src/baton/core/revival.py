"""Which cancelled steps are begun after all when the failure that doomed them is undone."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def revived(step: int, doomed_by: Mapping[int, Collection[Collection[int]]]) -> list[int]:
    """The steps, by job id, of which nothing dooms any more: of each of its dooms one dependency is
    `step` or is revived itself; ascending, linear in the edges. `doomed_by` holds the cancelled
    steps below it that were never begun, with what dooms each: a failed dependency alone, or
    alternatives together.
    """
    left = {job_id: len(dooms) for job_id, dooms in doomed_by.items()}
    parts: dict[int, list[tuple[int, int]]] = {}
    for job_id, dooms in doomed_by.items():
        for number, doom in enumerate(dooms):
            for cause in set(doom):
                parts.setdefault(cause, []).append((job_id, number))
    undone: set[tuple[int, int]] = set()
    found: list[int] = []
    wave = [step]
    while wave:
        for part in parts.get(wave.pop(), ()):
            if part in undone:
                continue
            undone.add(part)
            job_id = part[0]
            left[job_id] -= 1
            if left[job_id] == 0:
                found.append(job_id)
                wave.append(job_id)
    return sorted(found)
