"""The SQL of the schema that comes with this Baton: its migrations and its functions.

A wheel holds it beside this module; in a checkout, as an editable install uses it, it stands in
`schema/` at the top of the repository.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from baton.words.schema_errors import MigrationError

_FILE = re.compile(r"(\d{3})_([a-z][a-z0-9_]*)\.(up|down)\.sql")
_CHECKOUT = Path(__file__).parents[3] / "schema"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the tables; `up` and `down` are SQL with schema markers."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        """SHA-256 of `up`, independent of the schema's name and of line endings."""
        return hashlib.sha256(self.up.encode()).hexdigest()


def schema_folder() -> Traversable:
    """The folder with `migrations` and `functions`: the wheel's own, else the checkout's.

    Raises MigrationError when there is neither.
    """
    for folder in (files("baton").joinpath("store", "schema"), _CHECKOUT):
        if folder.joinpath("migrations").is_dir() and folder.joinpath("functions").is_dir():
            return folder
    raise MigrationError(
        None,
        "this installation lacks the schema's SQL: neither baton/store/schema nor a checkout's "
        "schema/ is there; install baton-workflows again",
    )


@cache
def load_migrations() -> tuple[Migration, ...]:
    """The packaged migrations in order.

    Raises MigrationError when a number or a direction is missing.
    """
    texts: dict[tuple[int, str], dict[str, str]] = {}
    for file in schema_folder().joinpath("migrations").iterdir():
        if match := _FILE.fullmatch(file.name):
            version, name, direction = match.groups()
            texts.setdefault((int(version), name), {})[direction] = file.read_text("utf-8")
    found = sorted(texts.items())
    if not found or [version for (version, _), _ in found] != list(range(1, len(found) + 1)):
        raise MigrationError(None, f"the packaged versions are not 1 to n: {sorted(texts)}")
    for (version, _), both in found:
        if len(both) != 2:
            raise MigrationError(version, f"only the {next(iter(both))} script is packaged")
    return tuple(
        Migration(version, name, both["up"], both["down"]) for (version, name), both in found
    )


@cache
def load_functions() -> dict[str, str]:
    """The packaged text of every function with its comments, by name; SQL with schema markers."""
    return {
        file.name.removesuffix(".sql"): file.read_text("utf-8")
        for file in sorted(
            schema_folder().joinpath("functions").iterdir(), key=lambda file: file.name
        )
        if file.name.endswith(".sql")
    }


def latest_version() -> int:
    """The version that this release of Baton works with."""
    return len(load_migrations())
