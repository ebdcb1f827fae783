"""What is begun after all when a failure is undone, against a definition that looks at all."""

from __future__ import annotations

from hypothesis import given, strategies as st

from baton.core.revival import revived

GRAPHS = st.integers(1, 12).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            n: st.lists(st.lists(st.integers(-1, n - 1), min_size=1, max_size=3), max_size=4)
            for n in range(1, size)
        }
    )
)


@given(GRAPHS)
def test_each_has_all_its_causes_undone_and_at_least_one(
    doomed_by: dict[int, list[list[int]]],
) -> None:
    undone = {0}
    for job_id, dooms in sorted(doomed_by.items()):
        if dooms and all(undone.intersection(doom) for doom in dooms):
            undone.add(job_id)
    assert revived(0, doomed_by) == sorted(undone - {0})


def test_what_another_failure_dooms_stays_and_so_does_what_is_below_it() -> None:
    below = {2: [[1]], 3: [[2]], 4: [[1], [9]], 5: [[4], [2]], 6: [[3], [3]], 7: [[9, 2]]}
    assert revived(1, below) == [2, 3, 6, 7]


def test_many_in_a_row() -> None:
    assert len(revived(0, {n: [[n - 1]] for n in range(1, 100_000)})) == 99_999
