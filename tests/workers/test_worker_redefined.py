"""Two definitions may not share a name, however they came to it; one that is loaded again may."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

from baton import Step, SyncStep, Worker, worker
from baton.errors import DuplicateWorkerError
from baton.workers import registry
from baton.workers.registry import held_spec


class Modules:
    """Modules of this test alone, under names that no other test has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names: list[str] = []

    def load(self, text: str, **others: str) -> ModuleType:
        for name, content in others.items():
            self._write(name, content)
        return importlib.import_module(self._write(f"jobs_{uuid4().hex}", text))

    def edit(self, module: ModuleType, text: str) -> ModuleType:
        self._write(module.__name__, text)
        return importlib.reload(module)

    def _write(self, name: str, text: str) -> str:
        (self._path / f"{name}.py").write_text(dedent(text))
        self.names.append(name)
        importlib.invalidate_caches()
        return name


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Modules(tmp_path)
    yield made
    for name in made.names:
        sys.modules.pop(name, None)


LOGGED = """
    def logged(f):
        async def inner(step: "object") -> str:
            return await f(step)
        return inner
"""
FACTORY = """
    from baton import Step, SyncStep, Worker, worker

    def make_exporter(kind, **options):
        @worker(**options)
        def export(step: SyncStep) -> str:
            return kind
        return export

    def make_class(kind, **options):
        class Export(Worker, **options):
            def perform(self, step: SyncStep) -> str:
                return kind
        return Export
"""
TWICE: dict[str, tuple[str, dict[str, str]]] = {
    "a decorator without wraps": (
        f"""
    from baton import Step, worker
    {LOGGED}
    @worker
    @logged
    async def charge_card(step: Step): ...
    @worker
    @logged
    async def send_mail(step: Step): ...
    """,
        {},
    ),
    "another module's decorator, and one explicit name": (
        """
    from baton import Step, worker
    from decorators_elsewhere import logged
    @worker(name="charge")
    @logged
    async def charge_card(step: Step): ...
    @worker(name="charge")
    @logged
    async def send_mail(step: Step): ...
    """,
        {"decorators_elsewhere": LOGGED},
    ),
    "a factory of functions": (
        FACTORY + "\n    s3 = make_exporter('s3')\n    ftp = make_exporter('ftp')\n",
        {},
    ),
    "a factory of classes": (
        FACTORY + "\n    s3 = make_class('s3')\n    ftp = make_class('ftp')\n",
        {},
    ),
    "another module's factory": (
        "from factories import make_class\ns3 = make_class('s3')\nftp = make_class('ftp')\n",
        {"factories": FACTORY},
    ),
    "two lambdas": (
        """
    from baton import worker
    one = worker(lambda step: "one")
    two = worker(lambda step: "two")
    """,
        {},
    ),
    "a loop": (
        """
    from baton import SyncStep, worker
    jobs = []
    for kind in ("s3", "ftp"):
        @worker
        def export(step: SyncStep) -> str: ...
        jobs.append(export)
    """,
        {},
    ),
    "a loop over one explicit name": (
        """
    from baton import SyncStep, Worker
    for kind in ("s3", "ftp"):
        class Export(Worker, name="looped-export"):
            def perform(self, step: SyncStep) -> str: ...
    """,
        {},
    ),
    "a function written twice": (
        """
    from baton import Step, worker
    @worker
    async def send(step: Step) -> str: ...
    @worker
    async def send(step: Step) -> str: ...
    """,
        {},
    ),
    "a class that only inherits, written twice": (
        """
    from baton import Step, Worker
    class Base(Worker):
        async def perform(self, step: Step) -> str: ...
    class Send(Base, name="inherited-send"): ...
    class Send(Base, name="inherited-send"): ...
    """,
        {},
    ),
    "functions of two classes of one name": (
        """
    from baton import Step, worker
    class Jobs:
        @worker
        async def send(step: Step) -> str: ...
    class Jobs:
        @worker
        async def send(step: Step) -> str: ...
    """,
        {},
    ),
}


@pytest.mark.parametrize("how", TWICE)
def test_two_definitions_of_one_name_are_refused(modules: Modules, how: str) -> None:
    text, others = TWICE[how]
    with pytest.raises(DuplicateWorkerError) as caught:
        modules.load(text, **others)
    error = caught.value
    assert registry.find(error.worker) is not None
    assert "name='…'" in str(error)
    assert error.given.partition(",")[0].endswith(".py")
    if "<locals>" in error.worker:
        assert "give each of them a name of its own" in str(error)


def test_a_factory_and_a_decorator_may_make_many_with_names_of_their_own(modules: Modules) -> None:
    made = modules.load(
        FACTORY
        + """
    s3, ftp = (make_exporter(kind, name=f"own-{kind}") for kind in ("s3", "ftp"))
    local, remote = (make_class(kind, name=f"own-{kind}") for kind in ("local", "remote"))
    """
    )
    for kind in ("s3", "ftp", "local", "remote"):
        spec = registry.find(f"own-{kind}")
        assert spec is not None
        assert spec.build("{}").perform(None) == kind
    assert held_spec(made.s3).name == "own-s3"


def test_a_wrapping_decorator_keeps_the_names_apart(modules: Modules) -> None:
    def text(wraps: str) -> str:
        return f"""
        import functools
        from baton import Step, worker
        def logged(f):
            {wraps}
            async def inner(step: Step) -> str:
                return await f(step)
            return inner
        @worker
        @logged
        async def charge_card(step: Step): ...
        @worker
        @logged
        async def send_mail(step: Step): ...
        """

    module = modules.load(text("@functools.wraps(f)"))
    assert registry.find(f"{module.__name__}.charge_card") is held_spec(module.charge_card)
    assert registry.find(f"{module.__name__}.send_mail") is held_spec(module.send_mail)


RELOADED = """
    from baton import Step, SyncStep, Worker, worker
    from elsewhere import Base, logged, make_exporter

    @worker
    async def send(step: Step) -> str: ...
    class Fetch(Worker):
        async def perform(self, step: Step) -> str: ...
    class Inherits(Base, name="reloaded-inherits"): ...
    class Plain(Base): ...
    @worker(name="reloaded-logged")
    @logged
    async def charge(step: Step): ...
    exporter = make_exporter("s3", name="reloaded-export")
    def setup():
        @worker(name="reloaded-local")
        async def local(step: Step) -> str: ...
        return local
    local = setup()
    class Jobs:
        @worker
        async def send(step: Step) -> str: ...
"""


def test_a_reload_replaces(modules: Modules) -> None:
    elsewhere = FACTORY + LOGGED + "\n    class Base(Worker):\n"
    elsewhere += "        async def perform(self, step: Step) -> str: ...\n"
    module = modules.load(RELOADED, elsewhere=elsewhere)
    known = ["send", "Fetch", "Plain", "Jobs.send"]
    names = [f"{module.__name__}.{name}" for name in known]
    names += ["reloaded-inherits", "reloaded-logged", "reloaded-export", "reloaded-local"]
    former = {name: registry.find(name) for name in names}
    assert None not in former.values()
    # An edit moves the lines of everything below it.
    for text in (RELOADED, "\n\n    NEW = 1\n" + RELOADED, RELOADED):
        modules.edit(module, text)
        for name in names:
            latest = registry.find(name)
            assert latest is not None
            assert latest is not former[name], name
            former[name] = latest
    assert registry.find("reloaded-local") is held_spec(module.local)


def test_a_cell_of_a_notebook_may_be_run_again() -> None:
    cells: dict[str, Any] = {"__name__": "notebook", "__builtins__": __builtins__}

    def run(number: int, text: str) -> None:
        exec(compile(dedent(text), f"<ipython-input-{number}>", "exec"), cells)

    run(1, "from baton import Step, worker")
    for number in range(2, 5):
        run(number, "\n" * number + "@worker\nasync def report(step: Step) -> str: ...")
        assert registry.find("notebook.report") is held_spec(cells["report"])


def local_worker(name: str | None) -> Callable[..., Any]:
    options: Any = {} if name is None else {"name": name}

    @worker(**options)
    async def local(step: Step) -> None: ...

    return local


def test_a_function_that_defines_its_worker_at_every_call_gives_it_a_name() -> None:
    local_worker("local-worker")
    again = local_worker("local-worker")
    assert registry.find("local-worker") is held_spec(again)  # type: ignore[arg-type]
    local_worker(None)
    with pytest.raises(DuplicateWorkerError, match="give each of them a name of its own"):
        local_worker(None)


def test_one_call_may_not_give_two_definitions_one_name() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def inner(step: Step) -> Any:
            return await function(step)

        return inner

    if True:

        @worker(name="branches")
        @logged
        async def branch(step: Step) -> None: ...

    with pytest.raises(DuplicateWorkerError):

        @worker(name="branches")
        @logged
        async def branch(step: Step) -> None: ...


def test_a_class_and_a_function_do_not_replace_each_other() -> None:
    class Mixed(Worker, name="mixed"):
        def perform(self, step: SyncStep) -> None: ...

    with pytest.raises(DuplicateWorkerError) as caught:

        @worker(name="mixed")
        def mixed(step: SyncStep) -> None: ...

    assert "(test_a_class_and_a_function_do_not_replace_each_other" in caught.value.registered
    assert registry.find("mixed") is Mixed.__baton_spec__
