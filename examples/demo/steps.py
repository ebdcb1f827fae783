"""The workflow: split -> one step per file or group of files -> merge -> report."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import ClassVar

import anyio
import anyio.to_thread

from baton import Baton, Step, SyncStep, Worker, worker
from examples.demo.listing import Listing, share_out
from examples.demo.measure import measure
from examples.demo.merging import merged
from examples.demo.models import FileFacts, Kind, ListedFile, Measured, PlannedFile, Split, Totals
from examples.demo.reading import LOOK_LIMIT, kind_of, read_beginning
from examples.demo.report import markdown

TERMS_OF_STEP = 500


class SplitFiles(Worker, queue="demo"):
    """Looks at every listed file again and plans which step reads it, and how."""

    root: str
    groups: dict[str, list[ListedFile]]

    async def perform(self, step: Step) -> Split:
        groups = await anyio.to_thread.run_sync(self._plan)
        return Split(root=self.root, groups=groups)

    def _plan(self) -> dict[str, list[PlannedFile]]:
        root = Path(self.root)
        return {
            name: [planned(root, file) for file in files] for name, files in self.groups.items()
        }


class ReadFiles(Worker, queue="files", timeout=300):
    """Measures the files that `split` planned for it. A plain `def`: it runs in a thread."""

    pace: ClassVar[float] = 0.0
    """Seconds to wait after each file, to watch it. Of this process, not stored with the job."""

    def perform(self, step: SyncStep) -> Measured:
        split = step.result("split", Split)
        root = Path(split.root)
        terms: Counter[str] = Counter()
        files: list[FileFacts] = []
        for file in split.groups[str(step.name)]:
            facts, found = measure(root, file)
            files.append(facts)
            terms.update(found)
            time.sleep(self.pace)
        return Measured(files=files, terms=terms.most_common(TERMS_OF_STEP))


@worker(queue="demo")
async def merge(step: Step) -> Totals:
    """Adds up the results of all steps that read files."""
    split = await step.result("split", Split)
    results = await step.results()
    parts = [Measured.model_validate(results[name]) for name in split.groups]
    return merged(split.root, parts)


@worker(queue="demo")
async def report(step: Step, *, folder: str) -> str:
    """Writes the report and returns its path. Performed twice it writes the same file again."""
    totals = await step.result("merge", Totals)
    path = anyio.Path(folder) / f"report-{step.workflow_id}.md"
    # Whoever looks sees a whole report or none.
    written = path.with_suffix(".new")
    await written.write_text(markdown(totals), encoding="utf-8")
    await written.replace(path)
    return str(path)


def build(listing: Listing, folder: Path) -> Baton:
    """The whole graph, known when it is inserted. The tag tells later for which input it was."""
    groups = share_out(listing.files)
    workflow = Baton(workflow_name="demo")
    split = SplitFiles(root=str(listing.root), groups=groups)
    workflow.add("split", split, tags=[listing.fingerprint])
    for name in groups:
        workflow.add(name, ReadFiles(), deps=["split"])
    workflow.add("merge", merge.new(), deps=["split", *groups])
    return workflow.add("report", report.new(folder=str(folder)), deps=["merge"])


def planned(root: Path, file: ListedFile) -> PlannedFile:
    """How a listed file is to be read, or why it is not."""
    path = root / file.path
    beginning = read_beginning(path, LOOK_LIMIT)
    kind, note = Kind.NOT_READ, beginning.note
    if not note:
        kind = kind_of(path, beginning.data)
        if kind is Kind.NOT_READ:
            note = "is not text"
        elif beginning.size != file.size:
            note = f"has changed since it was listed ({file.size:,} bytes then)"
    return PlannedFile(path=file.path, size=beginning.size or file.size, kind=kind, note=note)
