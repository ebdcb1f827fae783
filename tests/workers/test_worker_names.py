"""A worker's name and identity do not depend on how the process that defines it was started."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from textwrap import dedent

import pytest

from support.inserting import session

DEADLINE = 50.0


class Place:
    """A directory with programs, run in processes of their own."""

    def __init__(self, path: Path, dsn: str) -> None:
        self.path = path
        self.dsn = dsn

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        return file

    async def run(self, *arguments: str, status: int = 0, typed: str = "") -> str:
        """What `python *arguments` prints, with this typed in; its warnings too."""
        environment = {**os.environ, "DSN": self.dsn, "PYTHONPATH": str(self.path)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            cwd=self.path,
            env=environment,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(DEADLINE):
                out, err = await process.communicate(typed.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == status, (out.decode(), err.decode())
        return out.decode() + err.decode()


@pytest.fixture
def place(tmp_path: Path, dsn: str) -> Place:
    return Place(tmp_path, dsn)


@pytest.fixture
def alone(tmp_path: Path) -> Place:
    """Without a database."""
    return Place(tmp_path, "")


NAMED = """
    from baton import Step, SyncStep, Worker, worker

    @worker(name="report")
    async def report(step: Step) -> str:
        return "done"

    class Send(Worker, name="send"):
        async def perform(self, step: Step) -> None: ...

    def make(kind):
        @worker(name=f"export-{kind}")
        def export(step: SyncStep) -> str:
            return kind
        return export

    exports = [make(kind) for kind in ("s3", "ftp")]
"""


async def test_a_file_that_is_run_and_imported_defines_its_workers_once(alone: Place) -> None:
    # As `uvicorn.run("main:app")` in main.py does, and a helper that imports the script.
    alone.write(
        "main.py",
        NAMED
        + """
    if __name__ == "__main__":
        import main
        from baton.workers import registry
        found = registry.find("report")
        print(sorted(registry.names()), found is registry.held_spec(main.report))
    """,
    )
    said = await alone.run("main.py")
    assert said == "['export-ftp', 'export-s3', 'report', 'send'] True\n"
    assert await alone.run("-m", "main") == said


async def test_one_file_under_two_packages_defines_its_workers_once(alone: Place) -> None:
    alone.write("src/app.py", NAMED)
    (alone.path / "linked").symlink_to(alone.path / "src")
    said = await alone.run(
        "-c",
        "import sys; sys.path.insert(0, 'src'); import src.app, app, linked.app; "
        "from importlib import reload; reload(app); print(src.app.report)",
    )
    assert said == "<worker report>\n"


async def test_two_files_that_give_one_name_are_two_definitions(alone: Place) -> None:
    alone.write("one.py", NAMED)
    alone.write("two.py", NAMED)
    said = await alone.run("-c", "import one, two", status=1)
    assert "DuplicateWorkerError: another worker is registered as 'report'" in said
    for file in ("one.py", "two.py"):
        assert f"{alone.path / file}, line " in said


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
async def test_pytest_may_import_the_same_module_its_own_way(alone: Place, mode: str) -> None:
    alone.write("pkg/__init__.py", "")
    alone.write(
        "pkg/test_jobs.py",
        NAMED
        + """
    def test_it():
        import pkg.test_jobs
        import importlib
        importlib.reload(pkg.test_jobs)
    """,
    )
    said = await alone.run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *(f"--import-mode={mode}", "--rootdir", str(alone.path), "pkg"),
    )
    assert "1 passed" in said


SPAWNING = """
    import asyncio, multiprocessing, os, sys
    from baton import Baton, Engine, Step, worker

    @worker(max_attempts=1)
    async def report(step: Step) -> str:
        return multiprocessing.current_process().name

    def serve():
        async def run():
            async with Engine(os.environ["DSN"], queues={"default": 1}):
                await asyncio.sleep(3600)
        asyncio.run(run())

    async def main():
        async with Engine(os.environ["DSN"]) as engine:
            workflow = Baton().add("a", report.new())
            await workflow.insert()
            completion = await engine.workflow(workflow.workflow_id).completion(timeout=40)
            print(report, completion.outcome, completion.failed_steps)

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        child = context.Process(target=serve, daemon=True)
        child.start()
        try:
            asyncio.run(main())
        finally:
            child.kill()
            child.join()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("run", [("app.py",), ("-m", "app"), ("-m", "inner.app")])
async def test_a_child_knows_the_workers_of_the_script_that_started_it(
    place: Place, method: str, run: tuple[str, ...]
) -> None:
    place.write("inner/__init__.py", "")
    for name in ("app.py", "inner/app.py"):
        place.write(name, SPAWNING)
    said = await place.run(*run, method)
    module = run[-1].removesuffix(".py")
    assert said.splitlines()[0] == f"<worker {module}.report> completed ()", said


INSERTING = """
    import asyncio, os
    from baton import Baton, Engine, Step, worker

    @worker
    async def send(step: Step) -> str:
        return "an invoice"

    async def main():
        async with Engine(os.environ["DSN"]):
            await Baton().add("a", send.new()).insert()

    if __name__ == "__main__":
        asyncio.run(main())
"""

PERFORMING = """
    import asyncio, os, sys
    from baton import Baton, Engine, Step, worker

    @worker
    async def send(step: Step) -> str:
        return "a newsletter"

    async def main():
        async with Engine(os.environ["DSN"], queues={"default": 5}) as engine:
            # Sorted behind what the other script has inserted.
            own = Baton().add("own", send.new(), priority=9)
            await own.insert()
            await engine.workflow(own.workflow_id).completion(timeout=40)

    asyncio.run(main())
"""


async def test_a_script_does_not_perform_the_jobs_of_another_script(place: Place) -> None:
    place.write("invoices.py", INSERTING)
    place.write("newsletter.py", PERFORMING)
    await place.run("invoices.py")
    await place.run("newsletter.py")
    async with session(place.dsn) as connection:
        jobs = await connection.fetch(
            "SELECT j.worker, j.state::text, j.errors::text, n.result::text "
            "FROM oban_jobs j JOIN workflow_nodes n ON n.job_id = j.id ORDER BY j.id"
        )
    (foreign, own) = jobs
    assert (own["worker"], own["state"]) == ("newsletter.send", "completed")
    assert foreign["worker"] == "invoices.send"
    assert foreign["state"] != "completed"
    assert foreign["result"] is None
    if foreign["state"] == "retryable":
        assert "registered here: 'newsletter.send'" in foreign["errors"]


async def test_a_directory_and_an_archive_give_their_own_names(alone: Place) -> None:
    alone.write("invoicing/__main__.py", INSERTING.replace("asyncio.run(main())", "print(send)"))
    assert await alone.run("invoicing") == "<worker invoicing.send>\n"
    await alone.run("-m", "zipapp", "invoicing", "-o", "invoicing.pyz")
    assert await alone.run("invoicing.pyz") == "<worker invoicing.send>\n"
    (alone.path / "invoicing" / "__init__.py").touch()
    assert await alone.run("-m", "invoicing") == "<worker invoicing.__main__.send>\n"


async def test_a_program_without_a_file_is_warned_about_its_names(alone: Place) -> None:
    define = (
        "from baton import Step, worker\n@worker{}\nasync def send(step: Step): ...\nprint(send)"
    )
    said = await alone.run("-c", define.format(""))
    assert "<worker __main__.send>" in said
    assert "<string>:" in said
    assert "UserWarning: the worker 'send' is defined in __main__, which has no file" in said
    assert "name='…'" in said
    assert await alone.run("-c", define.format("(name='send')")) == "<worker send>\n"


@pytest.mark.parametrize("shell", [["-m", "asyncio"], ["-"], ["-m", "code"]])
async def test_what_is_typed_has_no_file(alone: Place, shell: list[str]) -> None:
    define = (
        "from baton import Step, worker\n@worker\nasync def send(step: Step): ...\n\nprint(send)\n"
    )
    said = await alone.run(*shell, typed=define)
    name = "__console__" if "code" in shell else "__main__"
    assert f"<worker {name}.send>" in said
    assert f"the worker 'send' is defined in {name}, which has no file" in said


async def test_what_is_typed_into_the_shell_of_a_newer_python_has_no_file(alone: Place) -> None:
    # It shows in `__main__` what that shell itself is: seen in Python 3.13.
    said = await alone.run(
        "-c",
        "from importlib.machinery import ModuleSpec\n"
        "__spec__, __file__ = ModuleSpec('_pyrepl.__main__', None), '/lib/_pyrepl/__main__.py'\n"
        "from baton import Step, worker\n@worker\nasync def send(step: Step): ...\nprint(send)",
    )
    assert "<worker __main__.send>" in said
    assert "the worker 'send' is defined in __main__, which has no file" in said


async def test_the_names_of_a_script_that_a_tool_runs(alone: Place) -> None:
    # Profilers, debuggers and runners execute a file as `__main__` with a spec of no use.
    alone.write("job.py", INSERTING.replace("asyncio.run(main())", "print(send)"))
    assert "<worker job.send>" in await alone.run("-m", "cProfile", "job.py")
    said = await alone.run("-c", "import runpy; runpy.run_path('job.py', run_name='__main__')")
    assert said == "<worker job.send>\n"
