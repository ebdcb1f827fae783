"""Nothing that a caller gives becomes part of a statement's text: it crosses as a parameter. Only
the schema's name does, quoted. Every statement of every connection is looked at.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import asyncpg
import pytest

from baton import Baton, Cancel, Engine, Plugin, Step, Worker, schema, send_event, worker
from baton.errors import InvalidNameError
from baton.insights import Insights
from baton.store.sql import Sql, quote_identifier
from migrating.test_migrations_names import REFUSED, STRANGE, packaged_sql
from support.databases import execute
from support.running import FAST, fast, opened, running
from support.waiting import DEADLINE, eventually

TOKEN = "zq7x"
HOSTILE = {
    "quotes": f"{TOKEN}'; DROP TABLE baton.oban_jobs; --\"; \\'; \\\"; %s {{a.b}} $1 :a ? $$; \\",
    "arrays": f'{TOKEN},{{NULL,"a"}},NULL /* */ -- /*schema.*/ 日本語 שלום 👩 ' + "é" * 120,
}

Statement = tuple[str, tuple[Any, ...]]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """What every connection that is made from now on has executed, by the driver's own log."""
    seen: list[Statement] = []
    make = asyncpg.Connection.__init__

    def logged(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        self.add_query_logger(lambda query: seen.append((query.query, tuple(query.args or ()))))

    monkeypatch.setattr(asyncpg.Connection, "__init__", logged)
    return seen


class Hostile(Worker, name="injection.hostile", max_attempts=2, backoff=0.01):
    text: str

    async def perform(self, step: Step) -> Any:
        await step.record_usage(
            model=self.text, provider=self.text, input_tokens=1, output_tokens=1
        )
        await step.capture(self.text, {self.text: self.text})
        await step.memo(self.text, self._noted)
        await step.wait_any(self.text, timeout=600, replay_key=self.text, correlation_key=self.text)
        if step.attempt == 1:
            raise RuntimeError(self.text)
        return {self.text: [self.text, await step.results()]}

    async def _noted(self) -> str:
        return self.text


class Ends(Worker, name="injection.ends"):
    text: str

    async def perform(self, step: Step) -> Any:
        return Cancel(self.text)


async def everything(engine: Engine, text: str, connection: asyncpg.Connection[Any]) -> None:
    """Every way in for a text, and every way out."""

    @worker(name=f"injection {text}"[:127])
    async def named(step: Step, *, given: str) -> str:
        return given

    workflow = Baton(workflow_name=text, debug=True, model_map={text: text})
    workflow.add(text, named.new(given=text), queue=text, tags=[text, text + "2"], model=text)
    workflow.add("hostile", Hostile(text=text), deps=[text], model=text)
    workflow.add("ends", Ends(text=text), ignore_cancelled=True)
    workflow.wait(
        "gate",
        any_of=[text],
        correlation_key=text,
        timeout=600,
        default={text: text},
        prompt=text,
        deps=["ends"],
        ignore_cancelled=True,
    )
    await workflow.insert(engine=engine)
    await eventually(lambda: _waiting(workflow, engine, 2))
    found = await engine.workflow(workflow.workflow_id).waiting_steps()
    assert {one.names for one in found} == {(text,)}
    await send_event(None, text, {text: text}, correlation_key=text, dedupe_id=text, engine=engine)
    completion = await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
    assert (completion.workflow_name, completion.failed_steps) == (text, ("ends",))
    assert await engine.workflow(workflow.workflow_id).result(text) == text
    assert (await engine.workflow(workflow.workflow_id).result("hostile")) == {
        text: [text, {text: text}]
    }
    assert (await engine.workflow(workflow.workflow_id).result("gate"))["events"] == {
        text: {text: text}
    }
    usage = await engine.workflow(workflow.workflow_id).usage()
    assert {(one.model, one.provider) for one in usage.models} == {(text, text)}
    captures = await engine.workflow(workflow.workflow_id).captures(step="hostile")
    assert captures[0].content == {text: text}
    assert not await engine.workflow(workflow.workflow_id).captures(step=text)

    look = Insights(engine.database)
    assert len((await look.workflows(workflow_name=text)).rows) == 1
    await look.steps(workflow.workflow_id)
    await look.why(workflow.workflow_id, text)
    await look.queues()
    assert text[:127] in {one.name for one in await look.engines()}

    borrowed = Baton(workflow_name=text).wait(text, any_of=[text], correlation_key=text)
    async with connection.transaction():
        await borrowed.insert(engine=engine, conn=connection)
        await send_event(borrowed.workflow_id, "other", text, conn=connection, engine=engine)
    assert await engine.workflow(borrowed.workflow_id).cancel_wait(text, text)
    late = Baton().add(text, named.new(given=text), schedule_in=3600)
    await late.insert(engine=engine)
    await engine.workflow(late.workflow_id).cancel(text)
    for doomed in (borrowed, late):
        await engine.workflow(doomed.workflow_id).completion(timeout=DEADLINE)
    plugin = Plugin(
        prune=True,
        debug_log_max_age=0,
        event_max_age=0,
        job_max_age={"completed": 0, "cancelled": 0, "discarded": 0},
    )
    for _ in range(3):
        await plugin.sweep(engine.database)


async def _waiting(workflow: Baton, engine: Engine, count: int) -> bool:
    return len(await engine.workflow(workflow.workflow_id).waiting_steps()) == count


def told_apart(text: str, sql: Sql) -> str:
    """A statement without the schema's name where it stands quoted, as a name or as a text."""
    channels = [
        quote_identifier(sql.channel(name))
        for name in (
            "oban_insert",
            "baton_finished",
            "baton_cancel",
            "baton_waits",
            "baton_deadline",
            "baton_probe",
        )
    ]
    for quoted in (*channels, sql.identifier, sql.literal, f"{sql.literal[:-1]}."):
        text = text.replace(quoted, "")
    return text


@pytest.mark.parametrize("kind", HOSTILE)
async def test_no_text_becomes_sql(dsn: str, statements: list[Statement], kind: str) -> None:
    text = HOSTILE[kind]
    connection = await asyncpg.connect(dsn)
    async with opened(dsn) as tables:
        queues = {"default": 5, text[:127]: 1}
        async with fast(dsn, queues=queues, name=text[:127], node=text[:127]) as engine:
            await everything(engine, text[:127], connection)
        left = "SELECT count(*) FROM baton.oban_jobs"
        assert await tables.value(left) == 0
    assert [query for query, _ in statements if TOKEN in query] == []
    # It was there to be seen.
    assert sum(TOKEN in repr(args) for _, args in statements) > 20
    for query in (f"SELECT '{TOKEN}'", "SELECT 1"):
        # The driver logs in the loop's next turn.
        await connection.fetch(query)
    assert len([query for query, _ in statements if TOKEN in query]) == 1
    await connection.close()
    assert len({query for query, _ in statements}) > 40


async def test_a_hostile_schema_is_quoted_everywhere(
    empty_dsn: str, statements: list[Statement]
) -> None:
    """In the DDL, in every query, and in the names of channels."""
    name = f"{TOKEN}\"'; DROP TABLE users; -- \\' $$ $1 %s {{}} /*"
    sql = Sql(name)
    await execute(empty_dsn, "CREATE TABLE public.users (id integer)")
    await schema.migrate(empty_dsn, schema=name)
    async with Engine(empty_dsn, schema=name, **FAST) as engine:
        connection = await asyncpg.connect(empty_dsn)
        await one_of_each(engine, connection)
        await connection.close()
    await schema.verify(empty_dsn, schema=name)
    await schema.rollback(empty_dsn, to=0, schema=name)
    await execute(empty_dsn, "INSERT INTO public.users VALUES (1)")
    touched = [query for query, _ in statements if TOKEN in query]
    assert len(touched) > 40
    assert [query for query in touched if TOKEN in told_apart(query, sql)] == []


async def one_of_each(engine: Engine, connection: asyncpg.Connection[Any]) -> None:
    workflow = (
        Baton().add("a", Ends(text="x")).wait("g", any_of=["e"], correlation_key="k", timeout=60)
    )
    await workflow.insert(engine=engine)
    await send_event(None, "e", correlation_key="k", engine=engine)
    await engine.workflow(workflow.workflow_id).completion(timeout=DEADLINE)
    async with connection.transaction():
        other = Baton().wait("g", any_of=["e"])
        await other.insert(engine=engine, conn=connection)
    await engine.workflow(other.workflow_id).cancel()
    await Plugin(prune=True, job_max_age={"cancelled": 0}).sweep(engine.database)
    await Insights(engine.database).workflows()


@pytest.mark.parametrize("name", [*REFUSED, "pg_toast", "\ud800"])
async def test_a_refused_schema_reaches_no_server(statements: list[Statement], name: Any) -> None:
    for make in (
        lambda: Engine("postgresql:///none?host=/nowhere", schema=name),
        lambda: schema.migration_sql(schema=name),
        lambda: schema.grants_sql("role", "worker", schema=name),
    ):
        with pytest.raises(InvalidNameError):
            make()
    assert statements == []


@pytest.mark.parametrize("name", STRANGE)
def test_rendered_queries_hold_a_strange_schema_only_quoted(name: str) -> None:
    sql = Sql(f"{TOKEN}{name}"[:24])
    for file, text in packaged_sql():
        assert TOKEN not in told_apart(sql.render(text), sql), file


def test_the_functions_of_the_schema_build_no_statements() -> None:
    """Their bodies execute no text; what migrations build, they build from catalogue names."""
    for file, text in packaged_sql():
        bodies = re.findall(
            r"CREATE (?:OR REPLACE )?FUNCTION.*?AS \$(\w*)\$(.*?)\$\1\$", text, re.S
        )
        for _, body in bodies:
            assert not re.search(r"\bEXECUTE\b|\bformat\s*\(|\bquote_\w+\s*\(", body), file


async def test_an_unknown_worker_is_no_import(dsn: str) -> None:
    """A row that names a function, a module or a command: nothing is imported, nothing is run."""
    names = ["os.system", "antigravity", "baton.workflow.nothing:run", "builtins.eval", "this"]
    async with running(dsn) as run:
        before = set(sys.modules)
        for name in names:
            await run.tables.execute(
                "INSERT INTO baton.oban_jobs (worker, args, max_attempts) VALUES ($1, $2, 1)",
                name,
                '{"command": "false", "__reduce__": ["os.system", "false"]}',
            )
        run.engine.wake("default")
        ended = "SELECT count(*) FROM baton.oban_jobs WHERE state = 'discarded'"
        await eventually(lambda: _is(run.tables.value(ended), len(names)))
        errors = await run.tables.rows("SELECT to_jsonb(errors)::text FROM baton.oban_jobs")
        assert all("UnknownWorkerError" in row[0] for row in errors)
        assert {"antigravity", "this"}.isdisjoint(set(sys.modules) - before)


async def _is(value: Any, wanted: int) -> bool:
    return int(await value) == wanted
