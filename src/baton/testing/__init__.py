"""For tests, demos and first steps: a PostgreSQL server of one's own."""

from baton.testing.cluster import EmbeddedPostgresError
from baton.testing.embedded import embedded_postgres

__all__ = ["EmbeddedPostgresError", "embedded_postgres"]
