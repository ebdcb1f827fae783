"""What does not fit into the server's statement time-out is written in smaller batches."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from baton import Baton, Cancel, Step, insert_all, worker
from baton.runtime.batch_size import BatchSize
from baton.words.events import StepExecuting
from support.databases import execute
from support.gates import Gate
from support.running import running

go = Gate()

SLOW = """
CREATE FUNCTION public.take_long() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_sleep({seconds});
    RETURN NEW;
END
$$;
CREATE TRIGGER take_long BEFORE UPDATE ON baton.oban_jobs FOR EACH ROW
WHEN (OLD.state = 'executing' AND {when}) EXECUTE FUNCTION public.take_long()
"""


@worker
async def ends(step: Step, *, fails: bool = False) -> Cancel | None:
    await go.wait()
    return Cancel("no") if fails else None


@pytest.mark.parametrize("fails", [False, True], ids=["completed", "failed"])
async def test_what_does_not_fit_is_written_in_parts(dsn: str, fails: bool) -> None:
    """Sixty rows of 10 ms each do not fit into 300 ms."""
    many = [Baton().add("a", ends.new(fails=fails)) for _ in range(60)]
    database = urlsplit(dsn).path[1:]
    await execute(dsn, f"ALTER DATABASE \"{database}\" SET statement_timeout = '300ms'")
    async with running(dsn, queues={"default": 60}) as run:
        await run.tables.execute("SET statement_timeout = 0")
        await run.tables.execute(SLOW.format(seconds=0.01, when="true"))
        await insert_all(many, engine=run.engine)
        await run.events.until(StepExecuting, 60)
        go.set()
        for workflow in many:
            assert (await run.end(workflow)).outcome == ("cancelled" if fails else "completed")
        assert len(run.events.of(StepExecuting)) == 60


async def test_one_row_that_takes_too_long_keeps_no_other(dsn: str) -> None:
    slow = Baton().add("a", ends.new(), priority=7)
    many = [slow, *(Baton().add("a", ends.new()) for _ in range(30))]
    database = urlsplit(dsn).path[1:]
    await execute(dsn, f"ALTER DATABASE \"{database}\" SET statement_timeout = '200ms'")
    async with running(dsn, queues={"default": 60}) as run:
        await run.tables.execute("SET statement_timeout = 0")
        await run.tables.execute(SLOW.format(seconds=5, when="OLD.priority = 7"))
        await insert_all(many, engine=run.engine)
        await run.events.until(StepExecuting, len(many))
        go.set()
        for workflow in many[1:]:
            assert (await run.end(workflow)).outcome == "completed"
        assert (await run.tables.step(slow, "a")).settled is None
        await run.tables.execute("DROP TRIGGER take_long ON baton.oban_jobs")
        assert (await run.end(slow)).outcome == "completed"
        assert len(run.events.of(StepExecuting)) == len(many)


def test_a_size_shrinks_and_grows_again() -> None:
    size = BatchSize(500)
    assert (size.now, size.reduced) == (500, False)
    size.too_slow(500, 1.0)
    assert (size.now, size.reduced) == (125, True)
    # Twice as many would not have fitted.
    size.went_through(125, 0.5)
    assert size.now == 125
    # Too few say nothing.
    size.went_through(3, 0.01)
    assert size.now == 125
    for _ in range(2):
        size.went_through(size.now, 0.4)
    assert (size.now, size.reduced) == (500, False)


def test_a_size_is_never_nothing() -> None:
    size = BatchSize(3)
    for _ in range(4):
        size.too_slow(size.now, 1.0)
    assert size.now == 1
    size.went_through(1, 0.1)
    assert size.now == 2
