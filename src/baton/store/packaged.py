"""The schema that comes with this Baton: its migrations, as files of the package."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from baton.words.errors import MigrationError

_FILE = re.compile(r"(\d{3})_([a-z][a-z0-9_]*)\.(up|down)\.sql")


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
