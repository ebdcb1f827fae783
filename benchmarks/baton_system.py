"""Baton through its public face: one engine, several engine processes, or other telemetry."""

from __future__ import annotations

import argparse
import asyncio
import importlib

import asyncpg

from baton import Baton, Engine, insert_all, subscribe
from baton.schema import migrate
from baton.telemetry import seam
from baton.words.events import Event
from benchmarks import drive
from benchmarks.baton_process import Noop, engine, engine_processes
from benchmarks.workloads import Workload

CLUSTER_POLL_SECONDS = 0.005
FINISHED = "SELECT count(*) FROM baton.workflow_completions"
COMPLETED_JOBS = "SELECT count(*) FROM baton.oban_jobs WHERE state = 'completed'"
COMPLETED_NODES = """
SELECT count(*) FROM baton.workflow_nodes WHERE state = 'completed' AND result IS NOT NULL
"""
COMPLETED_WORKFLOWS = f"{FINISHED} WHERE outcome = 'completed'"


def ignore(event: Event) -> None:
    """A subscriber that costs nothing itself."""


class BatonSystem:
    def __init__(self, arguments: argparse.Namespace, load: Workload, tally: drive.Tally) -> None:
        self._dsn: str = arguments.dsn
        self._load = load
        self._tally = tally
        self._processes: int = arguments.processes
        self._telemetry: str = arguments.telemetry
        self._client = Engine(self._dsn, name="client")
        self._finished_at = 0.0
        Noop.tally = tally

    async def install(self) -> None:
        await migrate(self._dsn)
        self._connection = await asyncpg.connect(self._dsn)
        await self._client.__aenter__()

    async def insert(self) -> None:
        await insert_all([self._build() for _ in range(self._load.workflows)], engine=self._client)

    async def work(self, stopping: asyncio.Event) -> None:
        if not self._load.idle:
            await self._client.stop()
        if self._telemetry == "off":
            seam.emit = ignore
            seam.active = False
        elif self._telemetry == "subscribed":
            subscribe(ignore)
        elif self._telemetry in ("spans", "all"):
            # Only these variants have the SDK in their environment.
            set_up = importlib.import_module("benchmarks.baton_otel").set_up
            set_up(everything=self._telemetry == "all")
        if self._processes > 1:
            async with engine_processes(self._dsn, self._load, self._tally, self._processes):
                self._finished_at = await drive.poll(self._is_finished, CLUSTER_POLL_SECONDS)
        else:
            async with engine(self._dsn, self._load):
                await stopping.wait()

    async def durable(self) -> float:
        return self._finished_at or await drive.poll(self._is_finished)

    async def verify(self) -> dict[str, tuple[int, int]]:
        await self._client.stop()
        jobs = await self._connection.fetchval(COMPLETED_JOBS)
        nodes = await self._connection.fetchval(COMPLETED_NODES)
        workflows = await self._connection.fetchval(COMPLETED_WORKFLOWS)
        await self._connection.close()
        return {
            "jobs completed": (jobs, self._load.steps),
            "nodes completed, result stored": (nodes, self._load.steps),
            "workflows completed": (workflows, self._load.workflows),
        }

    def _build(self) -> Baton:
        workflow = Baton()
        for number, dependencies in enumerate(self._load.graph.dependencies):
            deps = [f"s{dependency}" for dependency in dependencies]
            workflow.add(f"s{number}", Noop(number=number), deps=deps)
        return workflow

    async def _is_finished(self) -> bool:
        return bool(await self._connection.fetchval(FINISHED) == self._load.workflows)


TELEMETRY = ("default", "off", "subscribed", "spans", "all")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--telemetry", choices=TELEMETRY, default="default")


if __name__ == "__main__":
    drive.main(BatonSystem, options)
