"""What an engine knows of its queues: how often it looks for jobs, and how many it may bring."""

from __future__ import annotations

from collections import Counter

import pytest

from baton.runtime.queues import Queues, demands


def test_one_wake_is_looked_for_once() -> None:
    queues = Queues({"default": 10}, settlers=2)
    assert queues.unfetched
    (look,) = queues.reserve()
    assert (look.claim, look.room) == (True, 5)
    assert not queues.unfetched
    queues.wake("default")
    assert queues.unfetched


def test_a_look_that_finds_less_than_its_room_is_enough() -> None:
    queues = Queues({"default": 10}, settlers=2)
    looks = queues.reserve()
    queues.release(looks)
    queues.fetched(looks, Counter(default=4))
    assert not queues.unfetched
    assert not queues.reserve()[0].claim


@pytest.mark.parametrize("brought", [5, 6], ids=["claimed", "also found again"])
def test_a_look_that_fills_its_room_is_followed_by_another(brought: int) -> None:
    queues = Queues({"default": 10}, settlers=2)
    looks = queues.reserve()
    queues.release(looks)
    queues.fetched(looks, Counter(default=brought))
    assert queues.unfetched


def test_a_wake_during_a_look_is_not_forgotten() -> None:
    queues = Queues({"default": 10}, settlers=2)
    first = queues.reserve()
    queues.wake("default")
    queues.release(first)
    queues.fetched(first, Counter())
    assert queues.unfetched
    second = queues.reserve()
    queues.release(second)
    queues.fetched(second, Counter())
    assert not queues.unfetched


def test_an_empty_look_of_before_does_not_hide_what_a_later_one_looks_for() -> None:
    queues = Queues({"default": 10}, settlers=2)
    first = queues.reserve()
    queues.wake("default")
    second = queues.reserve()
    queues.release(first)
    queues.fetched(first, Counter())
    assert not queues.unfetched, "the second looks for it"
    queues.release(second)
    queues.fetched(second, Counter(default=5))
    assert queues.unfetched


def test_a_paused_queue_is_not_looked_into() -> None:
    queues = Queues({"default": 10, "other": 1}, settlers=2)
    queues["default"].paused = True
    assert [reservation.queue.name for reservation in queues.reserve()] == ["other"]
    queues["default"].paused = False
    assert queues.unfetched


def test_a_quarantined_queue_is_not_looked_into() -> None:
    queues = Queues({"a": 4, "b": 4}, settlers=1)
    looks = queues.reserve()
    queues.release(looks)
    queues["a"].quarantined = True
    queues.wake()
    assert [(look.queue.name, look.room) for look in queues.reserve()] == [("b", 4)]
    assert not queues.unfetched
    queues.reopen(queues["a"])
    assert [look.queue.name for look in queues.reserve()] == ["a"]


def test_a_look_that_was_too_large_grows_again() -> None:
    queues = Queues({"a": 10}, settlers=1)
    queues["a"].most = 1
    rooms: list[int] = []
    for _ in range(7):
        looks = queues.reserve()
        rooms.append(looks[0].room)
        queues.release(looks)
        queues.fetched(looks, Counter(a=rooms[-1]))
    assert rooms == [1, 2, 3, 4, 6, 8, 10]


def test_what_is_left_out_goes_with_its_queue() -> None:
    queues = Queues({"a": 4, "b": 4}, settlers=1)
    asked = demands(queues.reserve(), {"b": [7, 8]})
    assert [(one.queue, list(one.left_out)) for one in asked] == [("a", []), ("b", [7, 8])]
