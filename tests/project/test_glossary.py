"""One word per thing: words that went do not come back, and the glossary holds those that stay."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from support.places import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "schema").rglob("*.sql"), *(ROOT / "src").rglob("*.sql")])
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
GLOSSARY = ROOT / "docs" / "glossary.md"

RETIRED_NAMES = {
    "answers": "payload_schema",
    "Decided": "Effects",
    "Failures": "Effects",
    "correlation": "correlation_key",
    "feed": "fetched",
    "hungry": "unfetched",
    "insert_gates": "insert_wait_steps",
    "new_gate": "new_wait_step",
    "promise": "reservation",
    "promises": "reservations",
    "tell": "emit",
    "untold": "unemitted",
    "workflow_label": "workflow_name",
}
RETIRED_PREFIXES = {"tell_": "emit_", "Gate": "WaitStep"}
RETIRED_COLUMNS = {"answers": "payload_schema", "correlation": "correlation_key"}
RETIRED_IN_PAGES = {
    r"send_event\([^)]*\bkey=": "correlation_key=",
    r"\.wait(_any|_all|_n|_for)?\([^)]*(?<!_)\b(key|model)=": "correlation_key=, payload_type=",
    r"\b([Aa]|[Tt]he) gate (waits|settles|is armed|needs no worker)": "wait step",
    r"--label\b": "--name",
}


def names(text: str) -> list[tuple[int, str]]:
    """Every identifier of a Python file, with its line."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.append((node.lineno, node.name))
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                found.append((node.lineno, name))
            case ast.keyword(arg=str(name)):
                found.append((node.lineno, name))
            case _:
                pass
    return found


def retired(name: str) -> str | None:
    bare = name.lstrip("_")
    if bare in RETIRED_NAMES:
        return RETIRED_NAMES[bare]
    return next((new for old, new in RETIRED_PREFIXES.items() if bare.startswith(old)), None)


def slips(text: str) -> list[str]:
    return [f"{line}: {name}: say {new}" for line, name in names(text) if (new := retired(name))]


def columns(text: str) -> list[str]:
    code = re.sub(r"--[^\n]*", "", text)
    return [old for old in RETIRED_COLUMNS if re.search(rf"\b{old}\b", code)]


def phrases(text: str) -> list[str]:
    return [
        f"{found[0]}: say {new}"
        for old, new in RETIRED_IN_PAGES.items()
        for found in re.finditer(old, text)
    ]


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_retired_name_in_python() -> None:
    assert len(SOURCES) > 100
    found = {where(path): slips(path.read_text("utf-8")) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_no_retired_column_in_sql() -> None:
    assert len(SCRIPTS) > 100
    found = {where(path): columns(path.read_text("utf-8")) for path in SCRIPTS}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_no_retired_word_in_the_pages() -> None:
    assert len(PAGES) > 10
    found = {where(path): phrases(path.read_text("utf-8")) for path in PAGES}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_what_is_retired_is_found() -> None:
    assert slips("def tell_waits(self, answers): self._untold = f(promise=1)") != []
    assert len(slips("class GateOptions: pass")) == 1
    assert slips("emit(payload_schema, gate)") == []
    assert columns("SELECT g.answers -- correlation") == ["answers"]
    for text in (
        'send_event(None, "x", key="k")',
        'step.wait_for("x", model=int)',
        "A gate waits for events",
        "baton workflows --label x",
    ):
        assert phrases(text), text


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\*", GLOSSARY.read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 30
    assert rows == sorted(set(rows))
