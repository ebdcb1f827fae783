"""Which cancelled steps are begun after all when the failure that doomed them is undone."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def revived(step: int, doomed_by: Mapping[int, Collection[int]]) -> list[int]:
    """The steps, by job id, whose every dooming dependency is `step` or is revived itself,
    ascending; linear in the edges. `doomed_by` holds the cancelled steps below it that were never
    begun, with the failed dependencies that doom each.
    """
    left = {job_id: len(set(causes)) for job_id, causes in doomed_by.items()}
    dooms: dict[int, list[int]] = {}
    for job_id, causes in doomed_by.items():
        for cause in set(causes):
            dooms.setdefault(cause, []).append(job_id)
    found: list[int] = []
    wave = [step]
    while wave:
        for job_id in dooms.get(wave.pop(), ()):
            left[job_id] -= 1
            if left[job_id] == 0:
                found.append(job_id)
                wave.append(job_id)
    return sorted(found)
