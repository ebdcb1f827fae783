"""The rules of the shape: floors, budgets, and what no file may do."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from support.places import ROOT

SOURCES = ROOT / "src" / "baton"
FILES = {str(path.relative_to(SOURCES)): path for path in sorted(SOURCES.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8"), name) for name, path in FILES.items()}
PLACES = ("tests", "examples", "benchmarks")
FILE_LINES = 400
FUNCTION_LINES = 50
ROOM_SHARE = 0.2

# The one that writes JSON; the one that imports what the operator names; the one that imports a
# library by its constant name when it is asked for.
ENCODER = "core/jsonvalue.py"
LOADER = "cli/target.py"
LATE = "store/step_sessions.py"
FORBIDDEN_MODULES = {"marshal", "pickle", "dill", "cloudpickle", "shelve", "runpy"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "import_module", "resolve_name"}
JSON_WRITERS = {"dump", "dumps", "dump_json", "model_dump_json", "to_json", "JSONEncoder"}
CLOCKS = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid7", "urandom", "getrandbits"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def nodes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[str, ast.AST]]:
    for name, tree in TREES.items():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, kind))


def imported(node: ast.AST) -> list[str]:
    """The modules, or the names in them, that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def called(node: ast.AST) -> str:
    """What a call calls; of an attribute the last part, except where that is `re.compile`."""
    if not isinstance(node, ast.Call):
        return ""
    name = ast.unparse(node.func)
    return name if name == "re.compile" else name.rpartition(".")[2]


def where(name: str, node: ast.AST) -> str:
    return f"{name}:{getattr(node, 'lineno', 0)}"


def breaches(rule: Callable[[str, ast.AST], bool]) -> list[str]:
    return [where(name, node) for name, node in nodes(ast.AST) if rule(name, node)]


def test_imports_keep_the_contracts() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("name", FILES)
def test_no_file_has_two_thoughts(name: str) -> None:
    assert len(FILES[name].read_text("utf-8").splitlines()) <= FILE_LINES


def test_no_file_beside_the_package_has_two_thoughts() -> None:
    paths = [path for place in PLACES for path in (ROOT / place).rglob("*.py")]
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in paths}
    assert len(paths) > 100
    assert [path for path, length in lengths.items() if length > FILE_LINES] == []


def test_no_room_is_most_of_the_house() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in FILES.items()}
    rooms: Counter[str] = Counter()
    for name, length in lengths.items():
        rooms[name.partition("/")[0]] += length
    most = ROOM_SHARE * sum(lengths.values())
    assert {room: length for room, length in rooms.items() if length > most} == {}


def test_functions_are_short() -> None:
    def long(name: str, node: ast.AST) -> bool:
        return isinstance(node, Function) and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES

    assert breaches(long) == []


def test_no_import_hides_inside_a_function() -> None:
    hidden = [
        where(name, inner)
        for name, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for inner in ast.walk(node)
        if imported(inner)
    ]
    assert hidden == []


def test_only_the_store_and_the_migrations_import_the_driver() -> None:
    importers = {
        name
        for name, node in nodes((ast.Import, ast.ImportFrom))
        if any(module.partition(".")[0] == "asyncpg" for module in imported(node))
    }
    assert importers
    assert {name.partition("/")[0] for name in importers} == {"migrating", "store"}


def test_only_one_file_imports_the_prices() -> None:
    importers = {
        name
        for name, node in nodes((ast.Import, ast.ImportFrom))
        if any(module.partition(".")[0] == "genai_prices" for module in imported(node))
    }
    assert importers == {"steps/pricing.py"}


def test_only_the_encoder_writes_json() -> None:
    writers = {
        name
        for name, node in nodes(ast.AST)
        if JSON_WRITERS & ({called(node)} | {part.rpartition(".")[2] for part in imported(node)})
    }
    # Log lines are read by others, and stored by none of us.
    assert writers == {ENCODER, "telemetry/event_lines.py"}


def test_nothing_stored_is_ever_executed_or_imported() -> None:
    def executes(name: str, node: ast.AST) -> bool:
        modules = imported(node)
        used = {module.rpartition(".")[2] for module in modules} | {called(node)}
        allowed = {"import_module"} if name in (LOADER, LATE) else set()
        return bool(
            FORBIDDEN_MODULES & {module.partition(".")[0] for module in modules}
            or (FORBIDDEN_CALLS - allowed) & used
        )

    assert breaches(executes) == []


def test_the_core_never_awaits_nor_asks_a_clock() -> None:
    def impure(name: str, node: ast.AST) -> bool:
        waits = isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith | ast.AsyncFunctionDef)
        return name.startswith("core/") and (waits or called(node) in CLOCKS)

    assert breaches(impure) == []


def test_every_sql_file_is_used() -> None:
    texts = "".join(path.read_text("utf-8") for path in FILES.values())
    queries = sorted(path.stem for path in (SOURCES / "store" / "queries").glob("*.sql"))
    assert queries
    assert [query for query in queries if f'"{query}"' not in texts] == []
