"""The documentation against the code: every example runs or compiles, every table is true."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields
from itertools import dropwhile, product, takewhile
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest
from examples.demo.measure import relative_links

from baton import (
    Completion,
    Engine,
    EngineSettings,
    WaitCancelled,
    WaitEvents,
    WaitingStep,
    WaitTimeout,
)
from baton.core.gate import Dependency, DependencyRules, decide
from baton.core.outcome import RULES
from baton.insights import (
    Action,
    Bulk,
    BulkFailure,
    EngineRow,
    QueueRow,
    Reason,
    StepCounts,
    StepHistory,
    StepRow,
    Why,
    WorkflowDetail,
    WorkflowRow,
)
from baton.telemetry import seam
from baton.words import events
from baton.words.states import TERMINAL_STATES, JobState, StepState
from support.places import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"
BESIDE = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "tests/README.md")]
PAGES = [README, *BESIDE, *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


class Block(NamedTuple):
    """A block of python; `runs` tells whether it is run as it stands."""

    code: str
    runs: bool
    where: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found[1] == "python":
            line = text[: found.start(3)].count("\n")
            # Empty lines before, so that a failure names the line of the page.
            yield Block("\n" * line + found[3], "no-run" not in found[2], f"{page.name}:{line}")


def compiled(block: Block) -> CodeType:
    code: CodeType = compile(
        block.code, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    return code


async def run(page: Path, namespace: dict[str, Any]) -> None:
    """Run the blocks of a page one after another, as a reader would."""
    for block in blocks(page):
        if block.runs:
            pending = eval(compiled(block), namespace)
            if inspect.iscoroutine(pending):
                await pending


async def script(dsn: str, *arguments: str) -> str:
    """What a program prints that is started in the repository's root."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "BATON_DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


def rows(page: str, column: str) -> list[list[str]]:
    """The rows of a page's table whose first column has this title."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    table = list(takewhile(lambda line: line.startswith("|"), _from_title(lines, column)))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def _from_title(lines: list[str], column: str) -> Iterator[str]:
    return dropwhile(lambda line: not line.startswith(f"| {column} |"), lines)


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@page
def test_every_block_compiles_and_imports_what_exists(page: Path) -> None:
    for block in blocks(page):
        compiled(block)
        imports: list[ast.stmt] = [
            node
            for node in ast.walk(ast.parse(block.code))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        exec(compile(ast.Module(imports, []), block.where, "exec"), {})


@page
def test_links_lead_to_files(page: Path) -> None:
    targets = [
        re.split("[?#]", link)[0] for link in relative_links(page.read_text(encoding="utf-8"))
    ]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@page
def test_commands_and_extras_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for command in re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE):
        assert f"\n{command}:" in makefile, command
    for distribution, extras in re.findall(r"(\S*baton-\w+)\[([a-z,]+)\]", text):
        assert distribution.strip('"') == project["name"]
        assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_examples_are_quoted_whole() -> None:
    assert [block.code.lstrip("\n") for block in blocks(README)] == [
        (ROOT / "examples/diamond.py").read_text(encoding="utf-8")
    ]
    quoted = [block.code.lstrip("\n") for block in blocks(DOCS / "getting-started.md")]
    assert (ROOT / "examples/web.py").read_text(encoding="utf-8") in quoted


async def test_readme_diamond_runs(empty_dsn: str, tmp_path: Path) -> None:
    (block,) = blocks(README)
    program = tmp_path / "diamond.py"
    program.write_text(block.code)
    assert await script(empty_dsn, str(program)) == "total: 46\ncompleted ()\n"


async def test_process_pool_example_runs(dsn: str) -> None:
    printed = await script(dsn, "-m", "examples.process_pool")
    assert printed == "{'ten thousand': 1229, 'a million': 78498}\ncompleted\n"


RUN = "getting-started telemetry insights operating transactions typed-edges growing"


@pytest.mark.parametrize("name", [f"{name}.md" for name in RUN.split()])
async def test_pages_run_from_top_to_bottom(
    dsn: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    module = ModuleType(f"docs_{name.replace('-', '_').removesuffix('.md')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    # What a page subscribes goes with it.
    monkeypatch.setattr(seam, "_subscribers", seam._subscribers)
    monkeypatch.setattr(seam, "active", seam.active)
    module.__dict__["dsn"] = dsn
    async with asyncio.timeout(60):
        await run(DOCS / name, module.__dict__)


async def test_web_example_inserts_with_its_own_rows(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(dsn)
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{database}" SET search_path TO public')
    await connection.execute(
        "CREATE TABLE public.orders (id serial PRIMARY KEY, item text NOT NULL)"
    )
    await connection.close()
    monkeypatch.setenv("BATON_DATABASE_URL", dsn)
    web = ModuleType("docs_web")
    monkeypatch.setitem(sys.modules, web.__name__, web)
    source = (ROOT / "examples/web.py").read_text(encoding="utf-8")
    exec(compile(source, "examples/web.py", "exec", dont_inherit=True), web.__dict__)
    transport = httpx.ASGITransport(web.app)
    async with (
        web.lifespan(web.app),
        httpx.AsyncClient(transport=transport, base_url="http://web") as client,
    ):
        placed = (await client.post("/orders", params={"item": "book"})).json()
        address = f"/workflows/{placed['workflow_id']}"
        assert (await client.get(address, params={"seconds": 0.05})).json() == "unfinished"
        async with Engine(dsn, name="mail", queues={"mail": 1}):
            assert (await client.get(address, params={"seconds": 30})).json() == "completed"
        assert (await client.get(f"/workflows/{'0' * 32}")).status_code == 404


def test_settings_table() -> None:
    assert [row[:3] for row in rows("settings.md", "setting")] == [
        _setting(item) for item in fields(EngineSettings)
    ]


def test_arguments_table() -> None:
    """What the page says of the arguments that are no settings."""
    parameters = inspect.signature(Engine).parameters.values()
    assert [row[:2] for row in rows("settings.md", "argument")] == [
        [
            f"`{one.name}`",
            "" if one.default is one.empty else f"`{one.default!r}`".replace("'", '"'),
        ]
        for one in parameters
        if one.kind is not one.VAR_KEYWORD
    ]


def test_completion_fields() -> None:
    text = (DOCS / "getting-started.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"returns a `Completion` with (.*?), and the property", text, re.DOTALL)
    assert named(found) == [field.name for field in fields(Completion)]


def test_wait_outcomes_table() -> None:
    shown = {named(row[0])[0]: set(named(row[2])) for row in rows("waits.md", "outcome")}
    for kind in (WaitEvents, WaitTimeout, WaitCancelled):
        assert {field.name for field in fields(kind)} <= shown[kind.__name__]


def _setting(item: Any) -> list[str]:
    """How a field is to stand in the table: name, default, unit."""
    units = {
        "queues": "steps",
        "stage_limit": "jobs",
        "max_rescues": "rescues",
        "settlers": "settlements",
        "settle_limit": "outcomes",
        "threads": "threads",
        "pool_size": "connections",
        "transactions": "connections",
        "result_limit": "bytes",
        "capture_limit": "bytes",
    }
    if item.name == "node":
        default = "the host's name"
    else:
        default = repr(item.default_factory() if item.default is MISSING else item.default)
        default = f"`{default.replace(chr(39), chr(34))}`"
    return [f"`{item.name}`", default, "s" if "float" in item.type else units.get(item.name, "")]


def test_events_table() -> None:
    text = (DOCS / "telemetry.md").read_text(encoding="utf-8")
    of_all = [field.name for field in fields(events.Event)]
    (found,) = re.findall(r"All events have the field (.*?):", text)
    assert named(found) == of_all
    shared = {
        "the step's": [field.name for field in fields(events.StepEvent)[len(of_all) :]],
        "the attempt's": [
            field.name for field in fields(events.StepSettled)[len(fields(events.StepEvent)) :]
        ],
    }
    of_step, of_attempt = re.findall(
        r"have the \*(?:step|attempt)'s\s+fields\*(.*?\.)", text, re.DOTALL
    )
    assert named(of_step) == shared["the step's"]
    assert named(of_attempt) == shared["the attempt's"]
    written = {}
    for event, record, _, cell in rows("telemetry.md", "event"):
        listed = [name for part in cell.split(", ") for name in shared.get(part, named(part))]
        written[named(record)[0]] = (named(event)[0], listed)
    real = {
        kind.__name__: (kind.EVENT, [field.name for field in fields(kind)[len(of_all) :]])
        for kind in vars(events).values()
        if inspect.isclass(kind) and issubclass(kind, events.Event) and "EVENT" in vars(kind)
    }
    del real["Event"]
    assert written == real


def test_reasons_table() -> None:
    written = {named(row[0])[0]: set(named(row[2])) for row in rows("insights.md", "reason")}
    assert list(written) == [str(reason) for reason in Reason]
    facts = {field.name for field in fields(Why) if field.default is not MISSING}
    assert set().union(*written.values()) == facts


def test_rows_table() -> None:
    written = {named(row[0])[0]: named(row[2]) for row in rows("insights.md", "row")}
    kinds = [
        WorkflowRow,
        WorkflowDetail,
        StepCounts,
        StepRow,
        QueueRow,
        Action,
        Bulk,
        BulkFailure,
        StepHistory,
        EngineRow,
        WaitingStep,
    ]
    assert written == {kind.__name__: [field.name for field in fields(kind)] for kind in kinds}


def test_states_table() -> None:
    written = {named(row[0])[0]: row[2] == "yes" for row in rows("states-and-gate.md", "state")}
    assert written == {str(state): state in TERMINAL_STATES for state in JobState}


def test_table_of_endings() -> None:
    assert rows("states-and-gate.md", "what happened") == [
        [
            rule.meaning,
            f"`{rule.state}`",
            f"`{rule.last_state}`",
            "is given back" if rule.attempt_change else "counts",
        ]
        for rule in RULES.values()
    ]


def test_gate_table() -> None:
    flags = [
        (False, False, False),
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    found = {f"`{state}`": Dependency("a", None, state) for state in JobState}
    found |= {
        "skipped": Dependency("a", StepState.SKIPPED, JobState.CANCELLED),
        "gone before it settled": Dependency("a", None, None),
        "gone after it completed": Dependency("a", StepState.COMPLETED, None),
    }
    written = {row[0]: row[1:] for row in rows("states-and-gate.md", "a dependency is")}
    assert written == {
        name: [decide([dependency], DependencyRules(*map(bool, given))).verdict for given in flags]
        for name, dependency in found.items()
    }


def test_alternatives_table() -> None:
    flags = [DependencyRules(), DependencyRules(True), DependencyRules(False, True)]
    flags.append(DependencyRules(run_when_skipped=True))
    found = {state.value: Dependency("a", state, None, True) for state in StepState}
    found["executing"] = Dependency("a", None, JobState.EXECUTING, True)
    written = {row[0]: row[1:] for row in rows("states-and-gate.md", "two alternatives are")}
    pairs = set[str]()
    for (one, first), (other, second) in product(found.items(), repeat=2):
        names = {f"{one} and {other}", f"{other} and {one}"}
        if "completed" in (one, other):
            names = {"completed and anything"}
        (name,) = names & written.keys()
        pairs.add(name)
        decided = [decide([first, second], rules).verdict.value for rules in flags]
        assert written[name] == decided, (one, other)
    assert pairs == written.keys()


async def test_statistics_example_prints_what_the_page_says(
    dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ModuleType("docs_statistics_printed")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.__dict__["dsn"] = dsn
    page = DOCS / "statistics.md"
    await run(page, module.__dict__)
    (printed,) = [b[3] for b in BLOCK.finditer(page.read_text("utf-8")) if b[1] == "text"]
    assert capsys.readouterr().out == printed
