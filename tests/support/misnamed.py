"""An engine whose DSN stands in the source and cannot be read."""

from baton import Engine

engine = Engine("postgresql://baton:p@ss:w0rd/@127.0.0.1/x")
