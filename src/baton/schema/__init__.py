"""The database schema: migrate it, roll it back, print the SQL, grant it to roles, verify it.

The calls that reach a database take a DSN or an asyncpg connection; `require` takes an open
`Database`:

    applied = await baton.schema.migrate("postgresql://…", schema="jobs")
"""

from __future__ import annotations

from baton.store.grants import Role, grants_sql
from baton.store.migration_scripts import latest_version, migration_sql, table_names
from baton.store.migrations import current_version, migrate, rollback
from baton.store.schema_check import SchemaReport, require, verify

__all__ = [
    "Role",
    "SchemaReport",
    "current_version",
    "grants_sql",
    "latest_version",
    "migrate",
    "migration_sql",
    "require",
    "rollback",
    "table_names",
    "verify",
]
