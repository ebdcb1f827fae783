"""How long a failed step waits before its next attempt."""

from __future__ import annotations

import math

from baton.core.durations import seconds
from baton.words.argument_errors import InvalidOptionError

_LARGEST = 700.0
"""No power of which the logarithm is smaller overflows a float."""


def delay(
    attempt: int,
    *,
    base: float = 2.0,
    factor: float = 2.0,
    cap: float = 3600.0,
    jitter: float = 0.1,
    unit_random: float,
) -> float:
    """Seconds to wait after attempt number `attempt` (from 1) failed.

    The wait is `base` after the first attempt and `factor` times as long after each further one,
    at most `cap`. Jitter comes on top: `unit_random`, a random number in [0, 1), spreads the wait
    evenly between `(1 - jitter)` and `(1 + jitter)` times itself.
    """
    base, cap = seconds("base", base), seconds("cap", cap)
    if not 1 <= factor < math.inf:
        raise InvalidOptionError("factor", factor, "a finite number of at least 1")
    if not 0 <= jitter <= 1:
        raise InvalidOptionError("jitter", jitter, "a number from 0 to 1")
    return _wait(max(attempt - 1, 0), base, factor, cap) * (1 + jitter * (2 * unit_random - 1))


def _wait(exponent: int, base: float, factor: float, cap: float) -> float:
    if base == 0 or cap == 0:
        return 0.0
    # Attempt 10,000 would overflow the power, so logarithms are compared first.
    if factor > 1 and exponent >= (math.log(cap) - math.log(base)) / math.log(factor):
        return float(cap)
    grown = exponent * math.log(factor)
    if grown > _LARGEST:
        # The power alone overflows, and its product with a very small base does not.
        return min(float(cap), math.exp(math.log(base) + grown))
    return min(float(cap), base * float(factor) ** exponent)
