"""Triggers of an application that refuse what is written to single rows, with any SQLSTATE."""

from __future__ import annotations

from support.running import Tables

_REFUSE = """
CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no % today', TG_TABLE_NAME USING ERRCODE = TG_ARGV[0];
END
$$;
CREATE CONSTRAINT TRIGGER refuse AFTER {event} ON baton.{table} {deferred}
FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION public.refuse('{code}');
"""

CODES = ("P0001", "AB123", "42P01", "42501", "55000", "55P03", "40001", "54000", "22003", "XX000")
"""Of refusals: no server that is away says one of these of all that is asked."""


async def refuse(
    tables: Tables,
    when: str,
    code: str,
    *,
    table: str = "oban_jobs",
    event: str = "UPDATE",
    deferred: bool = False,
) -> None:
    """Refuse what changes the rows of which `when` is true; `deferred`: at the commit."""
    await tables.execute(
        _REFUSE.format(
            event=event,
            table=table,
            when=when,
            code=code,
            deferred="DEFERRABLE INITIALLY DEFERRED" if deferred else "",
        )
    )


async def accept(tables: Tables, *, table: str = "oban_jobs") -> None:
    """Refuse nothing more."""
    await tables.execute(f"DROP TRIGGER refuse ON baton.{table}")
