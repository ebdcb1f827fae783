"""The process that performs the steps: `baton worker examples.approval.worker:engine`."""

import os

from baton import Engine, Plugin
from examples.approval import steps

DSN = os.environ.get("BATON_DATABASE_URL", "postgresql://localhost/postgres")

engine = Engine(DSN, queues={"default": 10}, plugins=[Plugin()])

# An engine performs only workers that its process has imported: these.
WORKERS = (steps.ask, steps.publish)
