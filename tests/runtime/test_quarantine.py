"""What is refused alone is set aside, later and later, and is logged seldom."""

from __future__ import annotations

import logging

import asyncpg
import pytest

from baton.runtime.quarantine import FIRST_DELAY, LONGEST_DELAY, Quarantine
from baton.store.faults import is_too_slow


class Refusal(Exception):
    sqlstate = "AB123"


def test_what_is_too_slow() -> None:
    assert is_too_slow(TimeoutError())
    assert is_too_slow(asyncpg.QueryCanceledError())
    assert not is_too_slow(Refusal())


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_refused_again_waits_twice_as_long() -> None:
    clock = Clock()
    kept: Quarantine[int] = Quarantine("job %s", clock=clock)
    assert kept.next_due() is None
    expected = FIRST_DELAY
    for _ in range(12):
        kept.refuse(7, Refusal())
        assert kept.ids == [7]
        assert kept.next_due() == expected
        clock.now += expected - 0.001
        assert kept.take_due() == []
        clock.now += 0.001
        assert kept.take_due() == [7]
        # It is left out of batches until it is accepted, and comes once.
        assert (kept.ids, kept.take_due()) == ([7], [])
        expected = min(2 * expected, LONGEST_DELAY)
    kept.accept([7, 8])
    assert (kept.ids, kept.next_due()) == ([], None)
    kept.refuse(7, Refusal())
    assert kept.next_due() == FIRST_DELAY


def test_an_id_is_logged_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    kept: Quarantine[int] = Quarantine("job %s cannot be staged", clock=clock)
    with caplog.at_level(logging.ERROR, "baton"):
        for _ in range(60):
            for key in (7, 8):
                kept.refuse(key, Refusal("no\nway"))
                kept.accept([key])
            clock.now += 1.0
        assert [text[:5] for text in caplog.messages] == ["job 7", "job 8"]
        kept.refuse(7, Refusal())
    assert len(caplog.records) == 3
    assert caplog.messages[0].startswith("job 7 cannot be staged")
    assert caplog.messages[0].endswith("AB123 no way")


def test_a_quarantine_holds_only_so_many() -> None:
    kept: Quarantine[int] = Quarantine("job %s", most=3)
    for key in range(5):
        kept.refuse(key, Refusal())
    assert (kept.ids, kept.full, 3 in kept) == ([0, 1, 2], True, False)
    kept.accept([1])
    assert not kept.full
