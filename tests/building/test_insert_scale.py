"""Large workflows are inserted in bounded time and memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from support.inserting import Connection, counts
from support.places import TESTS

SCALE = """
import asyncio, resource, sys
from baton import Baton, EngineSettings, Step, insert_all, worker
from baton.store.store import Store
from support.inserting import Client, process

def chain(n):
    workflow = Baton()
    for i in range(n):
        workflow.add(f"s{i}", process.new(n=i), deps=[f"s{i - 1}"] if i else ())
    return workflow

def star(n):
    workflow = Baton().add("first", process.new())
    for i in range(n - 2):
        workflow.add(f"s{i}", process.new(n=i), deps=["first"])
    return workflow.add("last", process.new(), deps=[f"s{i}" for i in range(n - 2)])

def layers(n):
    workflow = Baton()
    for i in range(n):
        deps = [f"s{i - 300 - i % 300 + (i + d) % 300}" for d in range(3)] if i >= 300 else ()
        workflow.add(f"s{i}", process.new(n=i), deps=deps)
    return workflow

async def main(dsn, shape):
    store = Store(dsn)
    await store.open()
    await shape(100_000).insert(engine=Client(store, EngineSettings()))
    await store.close()
    print(peak())

def peak():
    # The peak that getrusage tells includes the parent's, whose memory a forked child begins with.
    try:
        lines = open("/proc/self/status").read().splitlines()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(line.split()[1] for line in lines if line.startswith("VmHWM:"))

asyncio.run(main(sys.argv[1], globals()[sys.argv[2]]))
"""


@pytest.mark.parametrize(
    ("shape", "edges", "deepest"),
    [("chain", 99_999, 1), ("star", 199_996, 99_998), ("layers", 299_100, 3)],
)
@pytest.mark.skipif(sys.platform == "win32", reason="no resource usage there")
async def test_100_000_steps_in_bounded_memory(
    dsn: str, db: Connection, shape: str, edges: int, deepest: int
) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", SCALE, dsn, shape],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.returncode == 0, done.stderr
    kilobytes = int(done.stdout) // (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 300_000
    assert await counts(db) == (1, 100_000, 100_000)
    row = await db.fetchrow(
        "SELECT sum(pending), max(pending), sum(cardinality(deps)), sum(cardinality(dependents))"
        " FROM workflow_nodes"
    )
    assert row is not None
    assert tuple(row) == (edges, deepest, edges, edges)
    mismatches = await db.fetchval(
        "SELECT count(*) FROM (SELECT job_id, unnest(deps) FROM workflow_nodes"
        " EXCEPT SELECT unnest(dependents), job_id FROM workflow_nodes) m"
    )
    assert mismatches == 0
    waiting = await db.fetchval(
        "SELECT count(*) FROM oban_jobs j JOIN workflow_nodes n ON n.job_id = j.id"
        " WHERE (j.state = 'suspended') <> (n.pending > 0)"
    )
    assert waiting == 0
