"""The migration that copies the hot path changes what it says, and its way back restores it."""

from __future__ import annotations

import asyncpg

from baton import schema
from baton.store.migration_scripts import load_migrations

START = "CREATE FUNCTION /*schema.*/baton_settle("
END = "$settle$;\n"


def settle(text: str) -> list[str]:
    """The words of the function."""
    _, _, function = text.partition(START)
    return function[: function.rindex(END)].split()


def test_the_hot_path_only_returns_more() -> None:
    settlement, statistics = load_migrations()[2:4]
    assert (settlement.name, statistics.name) == ("settlement", "statistics")
    changed = " ".join(settle(statistics.up))
    for added in (", model text, debug boolean", ", NULL, NULL::boolean", ", n.model, n.debug"):
        assert added in changed
        changed = changed.replace(added, "")
    assert changed.split() == settle(settlement.up)


def test_the_way_back_restores_the_function() -> None:
    settlement, statistics = load_migrations()[2:4]
    assert settle(statistics.down) == settle(settlement.up)


OLD = (
    "SELECT kind, id, workflow_id, name, settled, dependencies, timeout"
    " FROM public.baton_settle('{}', '{}', '{}', '{default}', '{1}', '{true}', '{n,e}', false)"
)


async def test_an_engine_of_the_release_before_goes_on(empty_dsn: str) -> None:
    await schema.migrate(empty_dsn, to=3)
    connection = await asyncpg.connect(empty_dsn)
    try:
        settle = await connection.prepare(OLD)
        # Often enough for a plan that is kept.
        for _ in range(8):
            assert await settle.fetch() == []
        await schema.migrate(empty_dsn)
        await connection.execute("INSERT INTO public.oban_jobs (worker) VALUES ('w')")
        assert len(await settle.fetch()) == 1
    finally:
        await connection.close()
