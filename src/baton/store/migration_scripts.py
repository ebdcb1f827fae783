"""The packaged migrations and the exact SQL that applies, reverts and records them: text only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from baton.store.sql import Sql
from baton.words.errors import InvalidOptionError, MigrationError

LOCK_TIMEOUT = 30.0
STATEMENT_TIMEOUT = 600.0

_FILE = re.compile(r"(\d{3})_([a-z][a-z0-9_]*)\.(up|down)\.sql")

# Unconditional statements start a line; what stands indented in a DO block may or may not be made.
_CREATE = r"CREATE (?:OR REPLACE |UNLOGGED |UNIQUE )*"
_STATEMENT = re.compile(
    rf"^(?:(?P<create>{_CREATE})|DROP )(?P<kind>TABLE|FUNCTION|INDEX) (?:IF (?:NOT )?EXISTS )?"
    r"(?:/\*schema\.\*/)?(?P<name>\w+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema; `up` and `down` are SQL with schema markers."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        """SHA-256 of `up`, independent of the schema's name and of line endings."""
        return hashlib.sha256(self.up.encode()).hexdigest()


@cache
def load_migrations() -> tuple[Migration, ...]:
    """The packaged migrations in order.

    Raises MigrationError when a number or a direction is missing.
    """
    texts: dict[tuple[int, str], dict[str, str]] = {}
    for file in files("baton").joinpath("schema").iterdir():
        if match := _FILE.fullmatch(file.name):
            version, name, direction = match.groups()
            texts.setdefault((int(version), name), {})[direction] = file.read_text("utf-8")
    found = sorted(texts.items())
    if [version for (version, _), _ in found] != list(range(1, len(found) + 1)):
        raise MigrationError(None, f"the packaged versions are not 1 to n: {sorted(texts)}")
    for (version, _), both in found:
        if len(both) != 2:
            raise MigrationError(version, f"only the {next(iter(both))} script is packaged")
    return tuple(
        Migration(version, name, both["up"], both["down"]) for (version, name), both in found
    )


def latest_version() -> int:
    """The version that this release of Baton works with."""
    return len(load_migrations())


def checked_version(option: str, version: int | None) -> int:
    """`version`, or the latest for None; InvalidOptionError when there is no such version."""
    latest = latest_version()
    if version is None:
        return latest
    if not 0 <= version <= latest:
        raise InvalidOptionError(option, version, f"a version from 0 to {latest}")
    return version


def declared_objects(migrations: Iterable[Migration]) -> frozenset[tuple[str, str]]:
    """(kind, name) of every table, function and index that the migrations leave for certain."""
    objects = {("table", "baton_migrations")}
    for migration in migrations:
        for match in _STATEMENT.finditer(migration.up):
            found = (match["kind"].lower(), match["name"])
            if match["create"]:
                objects.add(found)
            else:
                objects.discard(found)
    return frozenset(objects)


def lock_key(schema: str) -> int:
    """The advisory lock of the schema's migrations, a signed 64-bit key."""
    digest = hashlib.sha256(b"baton migrations\0" + schema.encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def opening(sql: Sql, lock_timeout: float = LOCK_TIMEOUT) -> str:
    """Begin a transaction that owes nothing to the session's settings, and take the schema's lock.

    A client that froze while it held the lock is disconnected by the server after a minute.
    """
    return f"""BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL search_path = pg_catalog;
SET LOCAL client_min_messages = warning;
SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT * 1000:.0f}ms';
SET LOCAL lock_timeout = '{max(lock_timeout * 1000, 1):.0f}ms';
SET LOCAL idle_in_transaction_session_timeout = '60s';
SELECT pg_advisory_xact_lock({lock_key(sql.schema)});
"""


def applying(sql: Sql, migration: Migration) -> str:
    """Record the migration and run it; fails unless the schema is at the version before."""
    version = migration.version
    first = sql("create_migrations_table") + "\n" if version == 1 else ""
    record = (
        "INSERT INTO /*schema.*/baton_migrations (version, name, checksum)\n"
        f"VALUES ({version}, '{migration.name}', '{migration.checksum}');\n"
    )
    return first + sql.render(_guard(version - 1) + record + "\n" + migration.up)


def reverting(sql: Sql, migration: Migration) -> str:
    """Run the migration's way back and forget it; fails unless it is the last one applied."""
    forget = (
        f"DELETE FROM /*schema.*/baton_migrations WHERE version = {migration.version};\n"  # noqa: S608
        if migration.version > 1
        else "DROP TABLE /*schema.*/baton_migrations;\n"
    )
    return sql.render(_guard(migration.version) + "\n" + migration.down + "\n" + forget)


def migration_sql(from_: int = 0, to: int | None = None, schema: str = "public") -> str:
    """The SQL that takes `schema` from version `from_` to version `to` (None: the latest), to be
    run by hand, for instance with `psql -v ON_ERROR_STOP=1`.

    It has its own BEGIN and COMMIT: one transaction per version upwards, a single one downwards.
    It refuses to run when the schema is at another version.
    Raises InvalidOptionError, InvalidNameError.
    """
    sql = Sql(schema)
    start, end = checked_version("from_", from_), checked_version("to", to)
    migrations = load_migrations()
    if start <= end:
        transactions = [applying(sql, migration) for migration in migrations[start:end]]
    else:
        steps = [reverting(sql, migration) for migration in reversed(migrations[end:start])]
        transactions = ["\n".join(steps)]
    return "\n".join(f"{opening(sql)}\n{text}\nCOMMIT;\n" for text in transactions)


def _guard(version: int) -> str:
    return f"""DO $guard$
DECLARE
    v_version integer := (SELECT coalesce(max(version), 0) FROM /*schema.*/baton_migrations);
BEGIN
    IF v_version <> {version} THEN
        RAISE EXCEPTION 'the schema is at version %, expected {version}', v_version;
    END IF;
END
$guard$;
"""  # noqa: S608
