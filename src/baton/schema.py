"""The database schema: migrate it, roll it back, print the SQL, grant it to roles, verify it.

The calls that reach a database take a DSN or an asyncpg connection; `require` takes an open
`Database`:

    applied = await baton.schema.migrate("postgresql://…", schema="jobs")
"""

from __future__ import annotations

from baton.migrating.declared import table_names
from baton.migrating.grants import Role, grants_sql
from baton.migrating.migration_scripts import migration_sql
from baton.migrating.migrations import current_version, migrate, rollback
from baton.migrating.schema_check import SchemaReport, require, verify
from baton.store.packaged import latest_version

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
