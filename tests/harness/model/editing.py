"""Makes a variant of the library: other text in its SQL, for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import asyncpg

from baton.store.sql import Sql


class Edit(NamedTuple):
    """In a function of the schema (`baton_…`), or in a query of the library."""

    place: str
    old: str
    new: str


@contextmanager
def mutated(sql: Sql, edits: tuple[Edit, ...]) -> Iterator[None]:
    """The queries of a database are edited for a while."""
    before = dict(sql._rendered)
    try:
        for edit in edits:
            if not edit.place.startswith("baton_"):
                sql._rendered[edit.place] = _edited(sql(edit.place), edit)
        yield
    finally:
        sql._rendered.clear()
        sql._rendered.update(before)


@asynccontextmanager
async def mutated_schema(dsn: str, edits: tuple[Edit, ...]) -> AsyncIterator[None]:
    """The functions of a schema are edited for a while."""
    connection = await asyncpg.connect(dsn)
    before: dict[str, str] = {}
    try:
        for edit in edits:
            if edit.place.startswith("baton_"):
                text = await connection.fetchval(
                    "SELECT pg_get_functiondef(p.oid) FROM pg_proc p"
                    " JOIN pg_namespace n ON n.oid = p.pronamespace"
                    " WHERE n.nspname = 'baton' AND p.proname = $1",
                    edit.place,
                )
                before.setdefault(edit.place, text)
                await connection.execute(_edited(text, edit))
        yield
    finally:
        for text in before.values():
            await connection.execute(text)
        await connection.close()


class LostPlaceError(Exception):
    """What a mutant edits has changed: it would be told from the library by this alone."""


def _edited(text: str, edit: Edit) -> str:
    if edit.old not in text:
        raise LostPlaceError(f"{edit.place} has no {edit.old!r}")
    return text.replace(edit.old, edit.new)
