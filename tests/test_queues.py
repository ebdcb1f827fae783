"""What an engine knows of its queues: how often it looks for jobs, and how many it may bring."""

from __future__ import annotations

from collections import Counter

import pytest

from baton.engine.queues import Queues


def test_one_wake_is_looked_for_once() -> None:
    queues = Queues({"default": 10}, settlers=2)
    assert queues.hungry
    (look,) = queues.promise()
    assert (look.claim, look.room) == (True, 5)
    assert not queues.hungry
    queues.wake("default")
    assert queues.hungry


def test_a_look_that_finds_less_than_its_room_is_enough() -> None:
    queues = Queues({"default": 10}, settlers=2)
    looks = queues.promise()
    queues.release(looks)
    queues.feed(looks, Counter(default=4))
    assert not queues.hungry
    assert not queues.promise()[0].claim


@pytest.mark.parametrize("brought", [5, 6], ids=["claimed", "also found again"])
def test_a_look_that_fills_its_room_is_followed_by_another(brought: int) -> None:
    queues = Queues({"default": 10}, settlers=2)
    looks = queues.promise()
    queues.release(looks)
    queues.feed(looks, Counter(default=brought))
    assert queues.hungry


def test_a_wake_during_a_look_is_not_forgotten() -> None:
    queues = Queues({"default": 10}, settlers=2)
    first = queues.promise()
    queues.wake("default")
    queues.release(first)
    queues.feed(first, Counter())
    assert queues.hungry
    second = queues.promise()
    queues.release(second)
    queues.feed(second, Counter())
    assert not queues.hungry


def test_an_empty_look_of_before_does_not_hide_what_a_later_one_looks_for() -> None:
    queues = Queues({"default": 10}, settlers=2)
    first = queues.promise()
    queues.wake("default")
    second = queues.promise()
    queues.release(first)
    queues.feed(first, Counter())
    assert not queues.hungry, "the second looks for it"
    queues.release(second)
    queues.feed(second, Counter(default=5))
    assert queues.hungry


def test_a_paused_queue_is_not_looked_into() -> None:
    queues = Queues({"default": 10, "other": 1}, settlers=2)
    queues["default"].paused = True
    assert [promise.queue.name for promise in queues.promise()] == ["other"]
    queues["default"].paused = False
    assert queues.hungry


def test_a_refused_look_is_blamed_on_one_queue() -> None:
    queues = Queues({"a": 4, "b": 4}, settlers=1)
    looks = queues.promise()
    queues.release(looks)
    assert queues.blame(looks) is None
    for look in looks:
        look.queue.wake()

    (first,) = queues.promise()
    assert (first.queue.name, first.room) == ("a", 1)
    queues.release([first])
    queues.feed([first], Counter(a=1))

    (second,) = queues.promise()
    assert (second.queue.name, second.room) == ("b", 1)
    queues.release([second])
    second.queue.wake()
    assert queues.blame([second]) is second.queue
    assert [(look.queue.name, look.room) for look in queues.promise()] == [("a", 4)]

    queues.forgive(second.queue)
    assert [look.queue.name for look in queues.promise()] == ["b"]
