"""Seconds."""

import math
from datetime import timedelta

import pytest

from baton.core.durations import TEN_YEARS, seconds, spoken
from baton.errors import InvalidOptionError


@pytest.mark.parametrize("given", [0, 0.0, 5, 0.5, TEN_YEARS])
def test_numbers_up_to_ten_years(given: float) -> None:
    assert seconds("wait", given) == given


@pytest.mark.parametrize(
    "given",
    [-1, TEN_YEARS + 1, 10**400, math.nan, math.inf, -math.inf, True, None, "1", timedelta(1)],
)
def test_anything_else_is_refused(given: object) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        seconds("wait", given)
    assert (caught.value.option, caught.value.given) == ("wait", given)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (119, "119 s"),
        (120, "2.0 min"),
        (7_199, "120 min"),
        (7_200, "2.0 h"),
        (48 * 3_600, "2.0 d"),
        (TEN_YEARS, "3660 d"),
    ],
)
def test_durations_for_people(given: float, text: str) -> None:
    assert spoken(given) == text
