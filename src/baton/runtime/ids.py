"""New identifiers, of this process's clock and of chance."""

from __future__ import annotations

import os
import time
from uuid import UUID

from baton.core.uuid7 import RANDOM_BYTES, uuid7


def new_id() -> UUID:
    """An identifier that sorts by the time it was made."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(RANDOM_BYTES))
