"""What steps had added that are begun anew: it is taken back, for they add again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def taken_back(chosen: Iterable[int], grown: Mapping[int, int]) -> dict[int, int]:
    """The steps that the chosen ones had added, and those that these had, by job ids, each with the
    chosen step at the top. `grown` are all steps that others added, with these.
    """
    children: dict[int, list[int]] = {}
    for job_id, grower in grown.items():
        children.setdefault(grower, []).append(job_id)
    if not children:
        return {}
    first = frozenset(chosen)
    below = _below({job_id: job_id for job_id in first}, children)
    # One that is taken back itself is not at the top.
    return _below({job_id: job_id for job_id in first if job_id not in below}, children)


def _below(tops: dict[int, int], children: Mapping[int, list[int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    left = list(tops.items())
    while left:
        grower, top = left.pop()
        for job_id in children.get(grower, ()):
            if job_id not in found:
                found[job_id] = top
                left.append((job_id, top))
    return found
