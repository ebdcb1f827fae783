"""Results as arguments, when a step is performed: read at once, validated, or missing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from baton import Baton, Cancel, Discard, Skip, Step, SyncStep, Worker, worker
from baton.store.store import Store
from support.running import Run, running

seen: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def fresh() -> None:
    seen.clear()


class Page(BaseModel):
    title: str | None = None
    words: list[str] = []


@dataclass
class Size:
    width: int
    unit: str = "px"


@worker(name="edge.give")
async def give(step: Step, *, value: Any = None) -> Any:
    return value


@worker(name="edge.page")
async def page(step: Step, *, words: list[str]) -> Page:
    return Page(words=words, title="t")


@worker(name="edge.end")
async def end(step: Step, *, how: str) -> Page | Skip | Cancel | Discard:
    ends: dict[str, Skip | Cancel | Discard] = {
        "skipped": Skip(), "cancelled": Cancel(), "discarded": Discard(),
    }  # fmt: skip
    return ends[how]


@worker(name="edge.take")
async def take(
    step: Step,
    *,
    page: Page | None = None,
    word: str = "",
    numbers: list[int] = [],  # noqa: B006
    sizes: dict[str, Size] = {},  # noqa: B006
    anything: Any = None,
) -> None:
    seen[str(step.name)] = (page, word, numbers, sizes, anything)


@worker(name="edge.plain")
def plain(step: SyncStep, *, page: Page, word: str) -> str:
    return f"{page.title} {word}"


class Count(Worker, name="edge.count"):
    page: Page
    least: int = 1

    async def perform(self, step: Step) -> int:
        return len(self.page.words)

    async def on_dep_discarded(self, step: Step, dependency: str) -> None:
        seen["hook"] = (self.least, repr(self.page), dependency)


async def error_of(run: Run, flow: Baton, name: str) -> str:
    row = await run.tables.step(flow, name)
    assert (row.state, row.attempt) == ("discarded", 1)
    return row.error


async def test_results_are_arguments(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton()
        a = flow.step("a", page.new(words=["x", "y"]))
        n = flow.step("n", give.new(value={"w": 3, "l": [7, 8], "$x": {"a/b~c": None}}))
        flow.step(
            "b",
            take.new(
                page=a.output,
                word=a.output.words[-1],
                numbers=[1, n.output["w"], n.output.l[1]],
                sizes={"$s": Size(n.output.w)},
                anything=[a.output.title, n.output["$x"]["a/b~c"], {"$set": n.output}],
            ),
        )
        p = flow.step("p", plain.new(page=a.output, word=a.output.words[0]))
        c = flow.step("c", Count(page=a.output))
        flow.add("last", take.new(anything={"p": p.output, "c": c.output}))
        await run.completed(flow)
        got = {"w": 3, "l": [7, 8], "$x": {"a/b~c": None}}
        assert seen["b"] == (
            Page(words=["x", "y"], title="t"),
            "y",
            [1, 3, 8],
            {"$s": Size(3)},
            ["t", None, {"$set": got}],
        )
        assert seen["last"][-1] == {"p": "t x", "c": 2}


async def test_all_references_of_a_step_are_one_query(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[str] = []
    read = Store.read

    async def reading(store: Store, query: str, *args: object) -> Any:
        queries.append(query)
        return await read(store, query, *args)

    async with running(dsn) as run:
        flow = Baton()
        a, b = flow.step("a", page.new(words=["$x"])), flow.step("b", give.new(value=1))
        flow.add("c", take.new(page=a.output, word=a.output.words[0], numbers=[b.output]))
        flow.add("d", take.new(), deps=["a"])
        monkeypatch.setattr(Store, "read", reading)
        await run.completed(flow)
    assert queries.count("read_references") == 1


@pytest.mark.parametrize("how", ["skipped", "cancelled", "discarded"])
async def test_what_has_no_result_is_none_or_an_error(dsn: str, how: str) -> None:
    async with running(dsn) as run:
        flow = Baton(ignore_cancelled=True, ignore_discarded=True)
        a = flow.step("a", end.new(how=how))
        within: Any = a.output
        options: Any = {"run_when_skipped": True}
        flow.step("none", take.new(page=a.output, anything=[a.output.words[0]]), **options)
        flow.step("not", take.new(word=a.output.words[0]), **options)
        flow.step("within", take.new(numbers=[within.words[0]]), **options)
        await run.workflow(flow)
        assert seen == {"none": (None, "", [], {}, [None])}
        for name, pointer in (("not", "/words/0"), ("within", "/words/0")):
            assert (await error_of(run, flow, name)).removeprefix("baton.errors.") == (
                f"UnresolvedReferenceError: step {name!r} takes the result of 'a' at {pointer!r} as"
                f" an argument: that step was {how} and has no result, and the argument does not "
                "take None"
            )


async def test_a_part_that_is_not_there_discards_the_step_at_once(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton()
        n = flow.step("n", give.new(value={"l": [1], "s": "text", "o": None}))
        output: Any = n.output
        for name, part in {
            "item": output.l[3], "key": output.x.y, "text": output.s[0], "null": output.o.a,
        }.items():  # fmt: skip
            flow.add(name, take.new(anything=part))
        await run.workflow(flow)
        assert seen == {}
        there = "as an argument: "
        assert f"at '/l/3' {there}at '/l' is a list of 1, which has no '3'" in (
            await error_of(run, flow, "item")
        )
        assert f"at '/x/y' {there}there is an object without 'x' (it has 'l', 'o', 's')" in (
            await error_of(run, flow, "key")
        )
        assert f"{there}at '/s' is a text, which has no '0'" in await error_of(run, flow, "text")
        assert f"{there}at '/o' is null, which has no 'a'" in await error_of(run, flow, "null")


async def test_a_value_of_another_type_is_invalid(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton()
        n = flow.step("n", give.new(value="many"))
        flow.add("b", take.new(numbers=[n.output]), max_attempts=1)
        await run.workflow(flow)
        assert "numbers.0: Input should be a valid integer" in await error_of(run, flow, "b")


async def test_an_alternative_that_has_not_settled_has_no_result(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton()
        fast, slow = (
            flow.step("fast", give.new(value=1)),
            flow.step("slow", give.new(value=2), schedule_in=3600),
        )
        flow.step("b", take.new(anything=[fast.output, slow.output]), any_of=[fast, slow])
        await run.insert(flow)
        await run.tables.until(flow, "b", "completed")
        assert seen["b"][-1] == [1, None]


NOW = "timezone('UTC', clock_timestamp())"
HOSTILE: list[tuple[Any, str]] = [
    ({"anything": {"$result": "other"}}, "UndeclaredDependencyError: step 'b' reads the result of"),
    ({"anything": {"$result": "a", "path": ["x"]}}, "['x'] is no JSON pointer"),
    ({"anything": {"$item": ""}}, "'$item' is no reference that this version knows"),
    ({"anything": {"$result": "b"}}, "UndeclaredDependencyError"),
    ({"$result": "a"}, "arguments: Input should be an object"),
    ({"anything": {"$result": "a", "path": "/0/" + "x/" * 5_000}}, "which has no '0'"),
]


@pytest.mark.parametrize(("args", "problem"), HOSTILE)
async def test_arguments_that_others_have_written(dsn: str, args: Any, problem: str) -> None:
    async with running(dsn, queues={"default": 1}) as run:
        flow = Baton().add("other", give.new(value=5)).add("a", give.new(value=5))
        flow.add("b", take.new(anything="$"), deps=["a"], schedule_in=3600, max_attempts=1)
        await run.insert(flow)
        await run.tables.until(flow, "b", "scheduled")
        text = json.dumps(args).replace("'", "''")
        await run.tables.change(flow, "b", args=f"'{text}'::jsonb", scheduled_at=NOW)
        await run.end(flow)
        assert problem in await error_of(run, flow, "b")


async def test_a_large_result_is_read_in_part(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton()
        a = flow.step("a", give.new(value={"big": "x" * 900_000, "deep": _nested(100), "n": 7}))
        flow.add("b", take.new(anything=[a.output.n, a.output.deep, a.output.big, _nested(100)]))
        await run.completed(flow)
        number, deep, big, own = seen["b"][-1]
        assert (number, deep, len(big), own) == (7, _nested(100), 900_000, _nested(100))


def _nested(levels: int) -> Any:
    value: Any = {"$end": 1}
    for _ in range(levels):
        value = [value]
    return value


async def test_retry_and_fork_keep_references_and_take_values(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton()
        a = flow.step("a", give.new(value="one"))
        flow.add("b", take.new(anything=[a.output, {"$y": 1}]))
        await run.completed(flow)
        assert seen.pop("b")[-1] == ["one", {"$y": 1}]
        fork = await flow.handle().fork(["a"], args={"a": {"value": {"$result": "x", "$$z": 2}}})
        await fork.completion()
        assert seen.pop("b")[-1] == [{"$result": "x", "$$z": 2}, {"$y": 1}]
        await fork.retry(steps=["b"])
        await fork.completion()
        assert seen.pop("b")[-1] == [{"$result": "x", "$$z": 2}, {"$y": 1}]
        await fork.retry(steps=["b"], args={"b": {"anything": {"$input": "", "a": {"$": 1}}}})
        await fork.completion()
        assert seen.pop("b")[-1] == {"$input": "", "a": {"$": 1}}


async def test_the_hook_of_a_step_that_takes_a_result_is_called(dsn: str) -> None:
    async with running(dsn) as run:
        flow = Baton()
        a = flow.step("a", end.new(how="discarded"))
        flow.step("b", Count(page=a.output, least=5))
        await run.workflow(flow)
    assert seen["hook"] == (5, "<the result of 'a'>", "a")
