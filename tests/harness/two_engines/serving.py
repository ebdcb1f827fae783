"""The engine of the same steps, as `baton worker two_engines.serving:engine` runs it."""

from __future__ import annotations

import json
import os

from baton import Engine
from two_engines.truth import Ledger
from two_engines.workers import Planned


def engine() -> Engine:
    """Its options stand as JSON in ENGINE_OPTIONS."""
    dsn = os.environ["BATON_DATABASE_URL"]
    Planned.ledger = Ledger(dsn)
    return Engine(dsn, **json.loads(os.environ["ENGINE_OPTIONS"]))
