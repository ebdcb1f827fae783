"""Backoff: bounds, growth, and numbers that overflow."""

import math

import pytest
from hypothesis import given, settings, strategies as st

from baton.core.backoff import delay
from baton.errors import InvalidOptionError

UNIT = st.floats(0, 1, exclude_max=True)
SECONDS = st.floats(0, 1e8)


def test_the_defaults_double_up_to_an_hour() -> None:
    waits = [delay(attempt, unit_random=0.5) for attempt in range(1, 15)]
    assert waits == [min(2.0**attempt, 3600.0) for attempt in range(1, 15)]


def test_jitter_is_symmetric_and_reaches_its_ends() -> None:
    low, middle, high = (
        delay(3, jitter=0.25, unit_random=u) for u in (0, 0.5, math.nextafter(1, 0))
    )
    assert (low, middle) == (6.0, 8.0)
    assert high == pytest.approx(10.0)
    assert high <= 10.0


@settings(deadline=None, max_examples=500)
@given(st.integers(-(10**9), 10**30), SECONDS, st.floats(1, 1e300), SECONDS, st.floats(0, 1), UNIT)
def test_every_wait_is_bounded(
    attempt: int, base: float, factor: float, cap: float, jitter: float, unit: float
) -> None:
    wait = delay(attempt, base=base, factor=factor, cap=cap, jitter=jitter, unit_random=unit)
    assert math.isfinite(wait)
    assert min(base, cap) * (1 - jitter) * 0.999 <= wait <= cap * (1 + jitter) * 1.001


@settings(deadline=None)
@given(st.integers(1, 100), SECONDS, st.floats(1, 10), SECONDS, UNIT)
def test_waits_never_shrink(
    attempt: int, base: float, factor: float, cap: float, unit: float
) -> None:
    first, second = (
        delay(n, base=base, factor=factor, cap=cap, unit_random=unit)
        for n in (attempt, attempt + 1)
    )
    assert second >= first * (1 - 1e-12)


@pytest.mark.parametrize("attempt", [10_000, 10**400])
def test_attempt_ten_thousand_waits_for_the_cap(attempt: int) -> None:
    assert delay(attempt, unit_random=0.5) == 3600.0
    assert delay(attempt, base=5e-324, factor=1e308, unit_random=0.5) == 3600.0


def test_a_power_that_overflows_alone_does_not() -> None:
    waited = delay(366, base=5e-324, factor=7.0, cap=1.0, jitter=0.0, unit_random=0.0)
    assert 0 < waited < 1
    assert waited == pytest.approx(5e-324 * 7.0**364 * 7.0, rel=1e-9)


def test_zero_and_one_are_legal() -> None:
    assert delay(5, base=0, unit_random=0.9) == 0
    assert delay(5, cap=0, unit_random=0.9) == 0
    assert delay(5, base=7, factor=1, jitter=0, unit_random=0.9) == 7


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("base", -1),
        ("base", math.nan),
        ("base", True),
        ("cap", math.inf),
        ("factor", 0.5),
        ("factor", math.nan),
        ("factor", math.inf),
        ("jitter", -0.1),
        ("jitter", 1.1),
        ("jitter", math.nan),
    ],
)
def test_nonsense_is_refused(option: str, value: float) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        delay(1, unit_random=0.5, **{option: value})
    assert caught.value.option == option
