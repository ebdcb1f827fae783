"""What the pages name exists: places of the map, errors, headings; the operators' SQL runs."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from examples.demo.measure import relative_links

from baton import errors
from baton.errors import GraphError
from support.places import ROOT

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
MAP = ROOT / "docs" / "architecture.md"
SOURCES = ROOT / "src" / "baton"
PLACE = re.compile(r"`([\w/]+\.(?:py|sql))`(?:: ((?:`\w+`(?:, )?)+))?")
SQL = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)

page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def places(text: str) -> Iterator[tuple[str, list[str]]]:
    """Files with the names that are to be found in each."""
    for path, named in PLACE.findall(text):
        yield path, re.findall(r"`(\w+)`", named)


def found(path: str) -> Path | None:
    places = [SOURCES / path, ROOT / path, *(SOURCES / "store" / "queries").glob(Path(path).name)]
    return next((place for place in places if place.exists()), None)


def names_in(file: Path) -> set[str]:
    text = file.read_text("utf-8")
    if file.suffix == ".sql":
        return set(re.findall(r"\w+", text))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)}


def wrong(text: str) -> list[str]:
    """The places that are not there."""
    missing: list[str] = []
    for path, names in places(text):
        file = found(path)
        if file is None:
            missing.append(path)
        else:
            missing += [f"{path}: {name}" for name in names if name not in names_in(file)]
    return missing


def test_the_map_leads_to_what_exists() -> None:
    text = MAP.read_text("utf-8")
    assert len(list(places(text))) > 100
    assert wrong(text) == []


def test_a_place_that_is_gone_is_found() -> None:
    assert wrong("`core/gate.py`: `decide`, `decided_by_nobody`; `core/no_gate.py`") == [
        "core/gate.py: decided_by_nobody",
        "core/no_gate.py",
    ]
    assert wrong("`schema/functions/baton_settle_and_claim.sql`: `ready`, `unready`") == [
        "schema/functions/baton_settle_and_claim.sql: unready"
    ]


def test_the_map_names_every_room() -> None:
    rooms = {path.stem for path in SOURCES.glob("*.py")} | {
        path.parent.name for path in SOURCES.glob("*/__init__.py")
    }
    table = MAP.read_text("utf-8").partition("## Floors")[2].partition("\n## ")[0]
    named = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named == rooms - {"__init__"}


@page
def test_errors_exist(page: Path) -> None:
    named = set(re.findall(r"`([A-Z]\w*Error)\b", page.read_text("utf-8")))
    known = {*vars(errors), *vars(builtins)}
    assert {name for name in named if name not in known} == set()


def test_the_troubleshooting_has_every_error() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    kinds = [getattr(errors, name) for name in errors.__all__]
    bases = {base for kind in kinds for base in kind.__bases__}
    # Errors of the graph have one line together.
    alone = [kind for kind in kinds if kind not in bases and not issubclass(kind, GraphError)]
    assert len(alone) > 20
    assert [kind.__name__ for kind in (GraphError, *alone) if f"`{kind.__name__}" not in text] == []


@page
def test_links_lead_to_headings(page: Path) -> None:
    lost = []
    for link in relative_links(page.read_text("utf-8")):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        if heading and target.suffix == ".md" and heading not in headings(target):
            lost.append(link)
    assert lost == []


def headings(page: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in found}


async def test_the_sql_of_the_operators_pages_runs(dsn: str) -> None:
    texts = SQL.findall((ROOT / "docs" / "production.md").read_text("utf-8"))
    assert len(texts) >= 3
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET search_path = public")
        for text in texts:
            await connection.fetch(text)
    finally:
        await connection.close()


def literals() -> str:
    """Every text of the sources, joined; what is filled in is left out."""
    found = [
        node.value
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "\n".join(re.sub(r"%[-.\w]*[drsgf]", "", text) for text in found)


def test_messages_that_the_troubleshooting_quotes_are_in_the_sources() -> None:
    texts = literals()
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    quoted = [
        part.strip()
        for line in page.splitlines()
        if line.startswith("|")
        for quote in re.findall(r'(?<!=)"([^"`=]+)"', line)
        for part in quote.split("…")
    ]
    assert len(quoted) > 30
    assert [part for part in quoted if part.strip(" .;:") not in texts] == []
