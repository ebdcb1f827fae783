"""What the steps hand to each other: stored as JSON, read back with these types."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel

Counts = list[tuple[str, int]]
"""Names with counts, most frequent first: jsonb does not keep the order of an object's keys."""


class Kind(StrEnum):
    """How a file is read."""

    TEXT = "text"
    MARKDOWN = "markdown"
    LOG = "log"
    NOT_READ = "not read"


class ListedFile(BaseModel):
    """A file as listed before the workflow was inserted. `path` is relative, with slashes."""

    path: str
    size: int


class PlannedFile(BaseModel):
    """A file as `split` found it. `note`: why it is not read, or that it has changed since."""

    path: str
    size: int
    kind: Kind
    note: str = ""


class Split(BaseModel):
    """The result of `split`: the files of each step that reads some."""

    root: str
    groups: dict[str, list[PlannedFile]]


class FileFacts(BaseModel):
    """What was found in one file. `digest` is empty when the file was not read to its end."""

    path: str
    kind: Kind
    size: int
    lines: int = 0
    words: int = 0
    digest: str = ""
    top_terms: list[str] = []
    levels: Counts = []
    first_time: str = ""
    last_time: str = ""
    links: int = 0
    broken_links: list[str] = []
    note: str = ""


class Measured(BaseModel):
    """The result of a step that reads files. `terms` are the most frequent of all its files."""

    files: list[FileFacts]
    terms: Counts


class Totals(BaseModel):
    """The result of `merge`."""

    root: str
    files: int
    read: int
    size: int
    lines: int
    words: int
    links: int
    terms: Counts
    kinds: Counts
    levels: Counts
    largest: list[FileFacts]
    logs: list[FileFacts]
    duplicates: list[list[str]]
    broken_links: dict[str, list[str]]
    notes: dict[str, str]
