"""Whatever is given as a name: it is stored and read back equal, or refused by an error of ours
with no row written; and the next job runs. More, by chance: BATON_FUZZ_EXAMPLES=5000.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from baton import Baton, BatonError, Discard, Step, Worker, send_event, worker
from baton.errors import InvalidNameError, NotStorableError
from baton.insights import Insights
from core.test_jsonvalue import is_storable
from support.databases import create_database, drop_database, run_apart
from support.fuzzing import Fuzz, fuzz, fuzzed


class Carries(Worker, name="fuzz.carries_name"):
    value: Any

    async def perform(self, step: Step) -> None:
        return None


class Discards(Worker, name="fuzz.discards"):
    async def perform(self, step: Step) -> Any:
        return Discard("no")


@worker(name="fuzz.reads_name")
async def reads(step: Step) -> None:
    await step.results()


@pytest.fixture(scope="module")
def running(server: str, template: str) -> Iterator[Fuzz]:
    """One engine for all: what an example leaves behind must not disturb the next."""
    dsn = run_apart(create_database(server, template))
    with fuzz(dsn) as made:
        yield made
    run_apart(drop_database(server, dsn))


ODD = [
    "a",
    "ß" * 255,
    "x" * 256,
    "日本語の手順",
    "שלב ראשון",
    "خطوة",
    "ขั้นตอน",
    "नमस्ते",
    "Ω≈ç√",
    "👩‍👩‍👧",
    "e\u0301",
    "\u200bzero",
    "\u202eright",
    " a",
    "a ",
    "\u00a0",
    "a\nb",
    "a\x1fb",
    "",
    "\0",
    "\ud800",
    "ab\x7f",
    "\u2028",
    'x"; DROP TABLE oban_jobs; --',
    "'; SELECT pg_sleep(9); --",
    "$1",
    "%s %d {} {0}",
    "a,b",
    "{a}",
    "NULL",
    "\\",
    "a\\'b",
    "%",
    "_",
    "../../etc",
    "<script>alert(1)</script>",
]
NAMES = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=[]), max_size=40)


def allowed(name: Any, limit: int) -> bool:
    """The rules of the documentation, in other words than the code's."""
    refused = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return (
        isinstance(name, str)
        and 0 < len(name) <= limit
        and name == name.strip()
        and not refused & {unicodedata.category(character) for character in name}
        and unicodedata.normalize("NFC", name) == name
    )


class Named:
    """How each kind of name is used, and read back."""

    LIMITS: ClassVar[dict[str, int]] = {"queue": 127, "worker": 127}
    KINDS = (
        "workflow name",
        "step",
        "queue",
        "worker",
        "tag",
        "event",
        "key",
        "dedupe id",
        "label",
        "model",
        "provider",
    )

    def __init__(self, running: Fuzz) -> None:
        self._on = running.on
        self._engine = running.on.engine

    async def use(self, kind: str, name: Any) -> object:
        """Gives the name, and returns it as it is read through the public face."""
        return await getattr(self, f"_{kind.replace(' ', '_')}")(name)

    async def _workflow_name(self, name: str) -> object:
        workflow = Baton(workflow_name=name).add("a", Carries(value=1))
        completion = await self._on.completed(workflow)
        (row,) = (await Insights(self._engine.database).workflows(workflow_name=name, limit=1)).rows
        assert row.workflow_id == workflow.workflow_id
        return completion.workflow_name

    async def _step(self, name: str) -> object:
        workflow = Baton().add(name, Discards()).add("z" * 250, reads.new(), deps=[name])
        (job, _) = await self._on.insert(workflow)
        completion = await self._on.end(workflow)
        assert completion.failed_steps[0] == name
        why = await Insights(self._engine.database).why(workflow.workflow_id, name)
        assert why is not None
        return job.name

    async def _queue(self, name: str) -> object:
        workflow = Baton().add("a", Carries(value=1), queue=name)
        (job,) = await self._on.insert(workflow)
        queues = await Insights(self._engine.database).queues()
        assert name in {row.queue for row in queues} or name == "default"
        await self._engine.workflow(workflow.workflow_id).cancel()
        return job.queue

    async def _worker(self, name: str) -> object:
        async def perform(step: Step) -> int:
            return 7

        made = worker(name=name)(perform)
        workflow = Baton().add("a", made.new())
        (job,) = await self._on.insert(workflow)
        await self._on.end(workflow)
        assert await self._engine.workflow(workflow.workflow_id).result("a") == 7
        return job.worker

    async def _tag(self, name: str) -> object:
        workflow = Baton().add("a", Carries(value=1), tags=[name, "second"])
        (job,) = await self._on.insert(workflow)
        (tags,) = await self._on.tables.rows(
            "SELECT tags FROM baton.oban_jobs WHERE id = $1", job.id
        )
        assert tags["tags"][1] == "second"
        await self._on.end(workflow)
        return tags["tags"][0]

    async def _event(self, name: str) -> object:
        workflow = Baton().wait("a", any_of=[name])
        await self._on.insert(workflow)
        (waiting,) = await self._engine.workflow(workflow.workflow_id).waiting_steps()
        await send_event(workflow.workflow_id, name, 1, engine=self._engine)
        await self._on.end(workflow)
        result = await self._engine.workflow(workflow.workflow_id).result("a")
        assert result["winner"] == name
        return waiting.names[0]

    async def _key(self, name: str) -> object:
        workflow = Baton().wait("a", any_of=["x"], correlation_key=name)
        await self._on.insert(workflow)
        (waiting,) = await self._engine.workflow(workflow.workflow_id).waiting_steps()
        assert await send_event(None, "x", correlation_key=name, engine=self._engine) == "settled"
        await self._on.end(workflow)
        return waiting.correlation_key

    async def _dedupe_id(self, name: str) -> object:
        workflow = Baton().wait("a", all_of=["x", "y"])
        await self._on.insert(workflow)
        for expected in ("delivered", "duplicate"):
            sent = await send_event(workflow.workflow_id, "x", dedupe_id=name, engine=self._engine)
            assert sent == expected
        await self._engine.workflow(workflow.workflow_id).cancel()
        return name

    async def _label(self, name: str) -> object:
        workflow = Baton(debug=True).add("a", Labels(given=name))
        await self._on.completed(workflow)
        (capture,) = await self._engine.workflow(workflow.workflow_id).captures()
        return capture.label

    async def _model(self, name: str) -> object:
        workflow = Baton().add("a", Uses(given=name, provider=None))
        await self._on.completed(workflow)
        usage = await self._engine.workflow(workflow.workflow_id).usage()
        return usage.models[0].model

    async def _provider(self, name: str) -> object:
        workflow = Baton().add("a", Uses(given="house-llm", provider=name))
        await self._on.completed(workflow)
        usage = await self._engine.workflow(workflow.workflow_id).usage()
        return usage.models[0].provider


class Labels(Worker, name="fuzz.labels", max_attempts=1):
    given: str

    async def perform(self, step: Step) -> None:
        await step.capture(self.given, 1)


class Uses(Worker, name="fuzz.uses", max_attempts=1):
    given: str
    provider: str | None

    async def perform(self, step: Step) -> None:
        await step.record_usage(
            model=self.given, provider=self.provider, input_tokens=1, output_tokens=1
        )


INSIDE = ("label", "model", "provider")
"""These are given inside a step, whose rows are there."""


@pytest.mark.parametrize("kind", Named.KINDS)
def test_names(running: Fuzz, kind: str) -> None:
    named = Named(running)
    limit = Named.LIMITS.get(kind, 255)
    used = set[str]()

    async def refused_inside(name: str) -> None:
        workflow = Baton(debug=True).add(
            "a",
            Labels(given=name)
            if kind == "label"
            else Uses(given=name, provider=None)
            if kind == "model"
            else Uses(given="house-llm", provider=name),
        )
        await running.on.workflow(workflow)
        row = await running.on.tables.step(workflow, "a")
        assert (row.state, "InvalidNameError" in row.error) == ("discarded", True), row.error

    async def example(name: Any) -> None:
        if kind == "worker" and repr(name) in used:
            return
        used.add(repr(name))
        if allowed(name, limit):
            assert await named.use(kind, name) == name
        elif kind in INSIDE and is_storable(name):
            await refused_inside(name)
        elif kind in INSIDE:
            assert isinstance(await running.refused(named.use(kind, name)), NotStorableError)
        elif kind in ("event", "key", "dedupe id"):
            to = None if kind == "key" else UUID(int=1)
            sent = send_event(
                to,
                name if kind == "event" else "x",
                correlation_key=name if kind == "key" else None,
                dedupe_id=name if kind == "dedupe id" else None,
                engine=running.on.engine,
            )
            assert isinstance(await running.refused(sent), InvalidNameError)
            if kind != "dedupe id":
                assert isinstance(await running.refused(named.use(kind, name)), InvalidNameError)
        else:
            assert isinstance(await running.refused(named.use(kind, name)), InvalidNameError)
        await running.survived()

    @fuzzed(8)
    @given(NAMES)
    def check(name: str) -> None:
        running.run(example(name))

    check()
    for odd in (5, b"a", ["a"]):
        if kind not in INSIDE:
            running.run(example(odd))


def test_whoever_asks_with_any_text_is_answered(running: Fuzz) -> None:
    """Questions and commands that look for a name: an answer or an error of ours."""
    workflow = Baton().wait("gate", any_of=["x"])
    running.run(running.on.insert(workflow))
    engine = running.on.engine
    look = Insights(engine.database)
    to = workflow.workflow_id

    async def example(name: Any) -> None:
        for ask in (
            lambda: engine.workflow(to).result(name),
            lambda: engine.workflow(name).result("gate"),
            lambda: engine.workflow(name).completion(timeout=0),
            lambda: engine.workflow(name).cancel(),
            lambda: engine.workflow(to).cancel_wait(name),
            lambda: engine.workflow(name).cancel_wait("gate"),
            lambda: engine.workflow(name).waiting_steps(),
            lambda: engine.workflow(name).usage(),
            lambda: engine.workflow(to).captures(step=name),
            lambda: look.workflow(name),
            lambda: look.workflows(state=name),
            lambda: look.workflows(workflow_name=name),
            lambda: look.workflows(after=name),
            lambda: look.steps(to, after=name),
            lambda: look.why(to, name),
            lambda: look.why(name, "gate"),
            lambda: _now(lambda: engine.queue(name).pause()),
            lambda: _now(lambda: engine.queue(name).resume()),
            lambda: _now(lambda: engine.queue(name).scale(1)),
            lambda: _now(lambda: engine.wake(name)),
        ):
            try:
                await ask()
            except BatonError:
                continue
        await running.survived()

    @fuzzed(8)
    @given(NAMES | st.uuids().map(str) | st.integers().map(str))
    def check(name: str) -> None:
        if name not in ("gate", "default"):
            running.run(example(name))

    check()
    for odd in (5, b"a", 1.5, object()):
        running.run(example(odd))
    running.run(engine.workflow(to).cancel())


async def _now(work: Any) -> None:
    work()
