"""Seconds."""

import math
from datetime import timedelta

import pytest

from baton.core.durations import TEN_YEARS, seconds
from baton.words.errors import InvalidOptionError


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
