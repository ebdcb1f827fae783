"""Whatever is given as data: it is stored and read back equal, or refused by an error
of ours with no row written; and the next job runs.

Few examples, always the same ones; more by chance: BATON_FUZZ_EXAMPLES=5000.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from pydantic import TypeAdapter

from baton import Baton, BatonError, Cancel, Discard, Step, Worker, send_event, worker
from baton.core.jsonvalue import DEFAULT_LIMIT
from baton.errors import TooLargeError
from core.test_jsonvalue import VALUES, is_storable, nested, same
from support.databases import create_database, drop_database, run_apart
from support.fuzzing import Fuzz, fuzz, fuzzed
from support.waits import until_waits

KATHMANDU = timezone(timedelta(hours=5, minutes=45))
FOREIGN = (
    st.datetimes(timezones=st.none() | st.just(UTC) | st.just(KATHMANDU))
    | st.dates()
    | st.times()
    | st.timedeltas(timedelta(days=-999), timedelta(days=999))
    | st.decimals()
    | st.uuids()
    | st.complex_numbers()
    | st.tuples(st.integers(), st.text(max_size=3))
    | st.frozensets(st.integers(0, 9), max_size=1)
)
UNSTORABLE = (
    st.binary(max_size=4)
    | st.just(object())
    | st.sampled_from([nested(129), nested(5_000), 10**4300, {1: 2}, {None: 1}, {"a": {(1, 2): 3}}])
)
ANYTHING = (
    VALUES
    | st.lists(FOREIGN, max_size=3)
    | st.dictionaries(st.text(max_size=3), FOREIGN, max_size=3)
    | st.builds(lambda value, deep: [*deep, value], UNSTORABLE, st.lists(VALUES, max_size=2))
    | st.integers(1, 128).map(nested)
)
SIZES = {
    "nothing": 0,
    "at the limit": DEFAULT_LIMIT - 2,
    "one past it": DEFAULT_LIMIT - 1,
    "far past it": 40_000_000,
}
ANY = TypeAdapter(Any)


def plain(value: Any) -> Any:
    """What must come back, told by pydantic and not by us: JSON's own types."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple() | frozenset():
            return [plain(item) for item in value]
        case datetime() | date() | time() | timedelta() | Decimal() | UUID() | complex():
            return ANY.dump_python(value, mode="json")
        case _:
            return value


def storable(value: Any) -> bool:
    match value:
        case dict():
            return all(
                isinstance(k, str) and is_storable(k) and storable(v) for k, v in value.items()
            )
        case list() | tuple() | frozenset():
            return all(map(storable, value))
        case bytes():
            return False
        case datetime() | date() | time() | timedelta() | Decimal() | UUID() | complex():
            return True
        case int():
            return abs(value) < 10**4300
        case None | bool() | str() | float():
            return is_storable(value)
        case _:
            return False


def depth(value: Any) -> int:
    levels, level = 0, [value]
    while level := [
        child
        for holder in level
        if isinstance(holder, dict | list | tuple | frozenset)
        for child in (holder.values() if isinstance(holder, dict) else holder)
    ]:
        levels += 1
        if levels > 200:
            break
    return levels


def fits(value: Any, extra: int) -> bool:
    """Whether it is storable `extra` levels deep."""
    return depth(value) + extra <= 128 and storable(value)


class Carries(Worker, name="fuzz.carries", max_attempts=1):
    value: Any

    seen: ClassVar[list[Any]] = []

    async def perform(self, step: Step) -> None:
        self.seen[:] = [self.value]


class Says(Worker, name="fuzz.says", max_attempts=1):
    """Does with a value, which never went through a row, what it is told."""

    how: str

    value: ClassVar[Any] = None
    read: ClassVar[list[Any]] = []

    async def perform(self, step: Step) -> Any:
        value = type(self).value
        match self.how:
            case "returns":
                return value
            case "captures":
                await step.capture("context", value)
            case "notes":
                return await step.memo("noted", self._value)
            case "raises":
                raise ValueError(value)
            case "cancels":
                return Cancel(value)
            case "discards":
                return Discard(value)

    async def _value(self) -> Any:
        return type(self).value


@worker(name="fuzz.reads")
async def reads(step: Step) -> None:
    Says.read[:] = [await step.results()]


@pytest.fixture(scope="module")
def running(server: str, template: str) -> Iterator[Fuzz]:
    """One engine for all: what an example leaves behind must not disturb the next."""
    dsn = run_apart(create_database(server, template))
    with fuzz(dsn) as made:
        yield made
    run_apart(drop_database(server, dsn))


def check_arguments(running: Fuzz, value: Any, ok: bool) -> None:
    async def example() -> None:
        if not ok:
            await running.refused(
                _inserted(running, lambda: Baton().add("a", Carries(value=value)))
            )
        else:
            await running.on.completed(Baton().add("a", Carries(value=value)))
            assert same(Carries.seen[0], plain(value))
        await running.survived()

    running.run(example())


async def _inserted(running: Fuzz, build: Any) -> None:
    await running.on.insert(build())


def check_outcome(running: Fuzz, how: str, value: Any, ok: bool) -> None:
    """What a step returns or notes and the next step reads, or captures."""

    async def example() -> None:
        Says.value = value
        workflow = Baton().add("a", Says(how=how)).add("b", reads.new(), deps=["a"])
        await running.on.workflow(workflow)
        row = await running.on.tables.step(workflow, "a")
        captures = await running.on.engine.workflow(workflow.workflow_id).captures()
        if not ok:
            assert row.state == "discarded"
            assert "baton.errors." in row.error or "cannot be stored" in row.error, row.error
            assert not row.stored
            assert not captures
        elif how == "captures":
            assert same(captures[0].content, plain(value))
        else:
            assert same(Says.read[0]["a"], plain(value))
            assert same(
                await running.on.engine.workflow(workflow.workflow_id).result("a"), plain(value)
            )
        await running.survived()

    running.run(example())


def check_payload(running: Fuzz, value: Any, ok: bool) -> None:
    """The payload of an event, sent to a workflow and by a key; and the default of a gate."""

    async def example() -> None:
        engine = running.on.engine
        workflow = (
            Baton()
            .wait("a", all_of=["x", "y"], correlation_key="k")
            .add("b", reads.new(), deps=["a"])
        )
        await running.on.insert(workflow)
        await until_waits(running.on.tables, workflow)
        if ok:
            await send_event(workflow.workflow_id, "x", value, engine=engine)
            await send_event(None, "y", value, correlation_key="k", engine=engine)
            await running.on.end(workflow)
            events = Says.read[0]["a"]["events"]
            assert same(events["x"], plain(value))
            assert same(events["y"], plain(value))
        else:
            to = workflow.workflow_id
            await running.refused(send_event(to, "x", value, engine=engine))
            await running.refused(send_event(None, "y", value, correlation_key="k", engine=engine))
            await running.refused(
                _inserted(
                    running,
                    lambda: Baton().wait("g", any_of=["x"], timeout=60, default=value),
                )
            )
            await engine.workflow(to).cancel()
            await running.on.end(workflow)
        await running.survived()

    running.run(example())


def test_arguments(running: Fuzz) -> None:
    @fuzzed(20)
    @given(ANYTHING)
    def check(value: Any) -> None:
        # The arguments are one object around it; a type that says Any tells no way back to a date.
        check_arguments(running, value, fits(value, 1) and same(value, plain(value)))

    check()


class Typed(Worker, name="fuzz.typed", max_attempts=1):
    at: datetime
    day: date
    clock: time
    span: timedelta
    amount: Decimal
    id: UUID
    pair: tuple[int, str]

    seen: ClassVar[list[Any]] = []

    async def perform(self, step: Step) -> None:
        self.seen[:] = [self]


def test_arguments_with_types_of_their_own(running: Fuzz) -> None:
    async def example(values: dict[str, Any]) -> None:
        workflow = Baton()
        try:
            workflow.add("a", Typed(**values))
        except BatonError:
            # JSON has no such number, and no such year.
            assert not values["amount"].is_finite() or not is_storable(values["pair"][1])
        else:
            await running.on.completed(workflow)
            assert {name: getattr(Typed.seen[0], name) for name in values} == values
        await running.survived()

    @fuzzed(8)
    @given(
        st.fixed_dictionaries(
            {
                "at": st.datetimes(timezones=st.none() | st.just(UTC) | st.just(KATHMANDU)),
                "day": st.dates(),
                "clock": st.times(),
                "span": st.timedeltas(timedelta(days=-999_999), timedelta(days=999_999)),
                "amount": st.decimals(),
                "id": st.uuids(),
                "pair": st.tuples(st.integers(), st.text(st.characters(exclude_categories=[]))),
            }
        )
    )
    def check(values: dict[str, Any]) -> None:
        running.run(example(values))

    check()


@pytest.mark.parametrize("how", ["returns", "notes", "captures"])
def test_results_notes_and_captures(running: Fuzz, how: str) -> None:
    @fuzzed(8)
    @given(ANYTHING)
    def check(value: Any) -> None:
        check_outcome(running, how, value, fits(value, 0))

    check()


def test_payloads(running: Fuzz) -> None:
    @fuzzed(10)
    @given(ANYTHING)
    def check(value: Any) -> None:
        # Below `events` and its name in the gate's result it lies deeper than it was sent.
        check_payload(running, value, fits(value, 0))

    check()


@pytest.mark.parametrize("size", SIZES)
def test_sizes(running: Fuzz, size: str) -> None:
    value, ok = "x" * SIZES[size], size in ("nothing", "at the limit")
    around = len('{"value":}')
    check_arguments(running, value[: -around or None] if ok else value, ok)
    check_payload(running, value, ok)
    for how in ("returns", "notes"):
        check_outcome(running, how, value, ok)
    check_outcome(running, "captures", value, SIZES[size] < 8 * DEFAULT_LIMIT)

    async def told() -> None:
        error = await running.refused(send_event(UUID(int=1), "x", value, engine=running.on.engine))
        assert isinstance(error, TooLargeError) is not ok
        if isinstance(error, TooLargeError):
            assert DEFAULT_LIMIT == error.limit < error.size <= len(value) + 2

    running.run(told())


TEXTS = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\ud800\udfff'\"\\%$;"))
LONG = st.sampled_from(["é" * 40_000, "\0" * 70_000, "x" * 1_000_000, "\ud800" * 30_000])


def readable(text: str) -> str:
    """How PostgreSQL can hold it."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("how", ["raises", "cancels", "discards", "cancel", "cancel_wait"])
def test_texts_of_errors_and_reasons(running: Fuzz, how: str) -> None:
    """Any text is recorded, made readable, and cut where it is too long."""

    async def example(text: str) -> None:
        engine = running.on.engine
        Says.value = text
        if how in ("cancel", "cancel_wait"):
            workflow = Baton().wait("a", any_of=["x"], timeout=600)
            await running.on.insert(workflow)
            if how == "cancel":
                assert await engine.workflow(workflow.workflow_id).cancel(text) == 1
            else:
                assert await engine.workflow(workflow.workflow_id).cancel_wait("a", text)
            await running.on.end(workflow)
        else:
            workflow = Baton().add("a", Says(how=how))
            await running.on.workflow(workflow)
        row = await running.on.tables.step(workflow, "a")
        assert row.state in ("cancelled", "discarded")
        assert len(row.error.encode()) <= 65_536
        shown = readable(text)
        if len(shown.encode()) < 20_000:
            assert shown.strip() in row.error
        else:
            assert shown[:1_000] in row.error
            assert "… (cut)" in row.error
        await running.survived()

    @fuzzed(8)
    @given(TEXTS | LONG)
    def check(text: str) -> None:
        running.run(example(text))

    check()
