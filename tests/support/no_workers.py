"""What an operator names to `baton worker` whose modules of steps are not imported."""

from __future__ import annotations

import os

from baton import Engine

DSN = os.environ.get("BATON_DATABASE_URL", "postgresql://nowhere/x")

engine = Engine(DSN, queues={"default": 1})
web = Engine(DSN)
