"""A real Prometheus server scrapes a process that runs workflows: every query of every panel and
every alert finds data.

The server is the distribution's package: `prometheus` on the PATH, or named by BATON_PROMETHEUS.
Where there is none, the queries are asked of the metrics themselves: every name and label in them
is exported.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from baton import Baton, Plugin, Step, worker
from baton.contrib.otel import instrument
from baton.telemetry import seam
from support.places import ROOT
from support.running import Run, running
from support.waiting import eventually
from telemetry.test_otel_metrics import EVENTS, sample

DASHBOARDS = ROOT / "src" / "baton" / "contrib" / "otel" / "dashboards"
DASHBOARD = DASHBOARDS / "grafana" / "baton.json"
ALERTS = DASHBOARDS / "prometheus" / "alerts.yml"
PROMETHEUS = os.environ.get("BATON_PROMETHEUS") or shutil.which("prometheus")


def panels() -> dict[str, str]:
    """The queries of the dashboard by their panel."""
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }


def alerts() -> dict[str, str]:
    """The expressions of the alerts by their name, without their bound."""
    text = ALERTS.read_text("utf-8")
    found = re.findall(r"alert: (\w+)\s+expr: '(.+)'", text)
    return {name: expression.rpartition(" > ")[0] for name, expression in found}


QUERIES = {**panels(), **alerts()}


@worker
async def works(step: Step) -> None:
    await step.record_usage(model="gpt-4o", input_tokens=10, output_tokens=5)


@worker(max_attempts=2, backoff=0)
async def fails(step: Step) -> None:
    raise ValueError("no")


@pytest.fixture
def exported() -> Iterator[CollectorRegistry]:
    """What the real exporter tells, fed by everything Baton does."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)])
    undo = instrument(meter_provider=provider, spans=False, events=False)
    yield registry
    undo()
    provider.shutdown()


def test_every_panel_has_a_query() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    assert len(dashboard["panels"]) >= 15
    assert all(panel["targets"] and panel["description"] for panel in dashboard["panels"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert len(alerts()) == ALERTS.read_text("utf-8").count("- alert:") >= 8


def test_every_name_in_a_query_is_exported(exported: CollectorRegistry) -> None:
    for kind in EVENTS:
        seam.emit(sample(kind))
    text = generate_latest(exported).decode()
    names = set(re.findall(r"^(\w+)(?:\{| )", text, re.MULTILINE))
    labels = set(re.findall(r"[{,](\w+)=", text))
    for title, query in QUERIES.items():
        used = set(re.findall(r"\b(?:baton|messaging|gen_ai)_\w+", query))
        missing = used - names - labels
        assert not missing - {"baton_sweep_lag_seconds"}, title


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def prometheus(folder: Path, target: int) -> AsyncIterator[httpx.AsyncClient]:
    """A server that scrapes the target every second, with the alert rules loaded."""
    port = free_port()
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n"
        f"rule_files: ['{ALERTS}']\n"
        f"scrape_configs:\n  - job_name: baton\n    static_configs:\n"
        f"      - targets: ['127.0.0.1:{target}']\n"
    )
    assert PROMETHEUS is not None
    process = await asyncio.create_subprocess_exec(
        PROMETHEUS,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/-/ready")).status_code == 200
                except httpx.HTTPError:
                    return False

            await eventually(ready)
            yield client
    finally:
        process.terminate()
        await process.wait()


async def load(run: Run) -> None:
    """Workflows of every fate, and an event of what cannot be brought about here."""
    await run.completed(Baton().add("a", works.new()).add("b", works.new(), deps=["a"]))
    await run.workflow(Baton().add("a", fails.new()).add("b", works.new(), deps=["a"]))
    for kind in EVENTS:
        seam.emit(sample(kind))


@pytest.mark.skipif(PROMETHEUS is None, reason="there is no Prometheus server on this machine")
async def test_every_query_finds_data(
    dsn: str, tmp_path: Path, exported: CollectorRegistry
) -> None:
    port = free_port()
    exporter, thread = start_http_server(port, addr="127.0.0.1", registry=exported)
    async with (
        running(dsn, plugins=[Plugin(interval=0.2)]) as run,
        prometheus(tmp_path, port) as client,
    ):

        async def answered(query: str) -> list[Any]:
            # Grafana's interval is at least four scrapes.
            asked = query.replace("$__rate_interval", "60s")
            response = await client.get("/api/v1/query", params={"query": asked})
            assert response.status_code == 200, response.text
            found: list[Any] = response.json()["data"]["result"]
            return [row for row in found if row["value"][1] != "NaN"]

        async def all_found() -> bool:
            await load(run)
            return all([await answered(query) for query in QUERIES.values()])

        try:
            await eventually(all_found, 40)
        except BaseException:
            silent = [title for title, query in QUERIES.items() if not await answered(query)]
            scrapes = await answered("sum_over_time(up[60s])")
            told = [
                line for line in generate_latest(exported).decode().splitlines() if "_lag" in line
            ]
            pytest.fail(f"no data for: {silent}; scrapes: {scrapes}; exported: {told}")
        rules = (await client.get("/api/v1/rules")).json()["data"]["groups"][0]["rules"]
        assert {rule["name"] for rule in rules} == set(alerts())
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    exporter.shutdown()
    exporter.server_close()
    thread.join()
