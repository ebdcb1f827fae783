"""The approval example: both of its processes, asked as its README does."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module, reload
from typing import Any

import httpx
import pytest

from cli.test_cli import ended, said
from support.places import ROOT
from support.waiting import eventually


@asynccontextmanager
async def performing(dsn: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "baton.cli"),
        *("worker", "examples.approval.worker:engine"),
        cwd=ROOT,
        env={**os.environ, "BATON_DATABASE_URL": dsn},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        await said(process, "runs, queues: default")
        yield
        process.terminate()
        status, text = await ended(process)
        assert status == 0, text
    finally:
        if process.returncode is None:
            process.kill()


@asynccontextmanager
async def asking(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("BATON_DATABASE_URL", dsn)
    web: Any = reload(import_module("examples.approval.web"))
    async with (
        web.lifespan(web.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(web.app), base_url="http://web") as client,
    ):
        yield client


async def test_a_person_decides(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    yes = {"approved": True, "by": "ada"}
    async with asking(dsn, monkeypatch) as client:
        article = (await client.post("/articles", params={"title": "Spring"})).json()
        # No worker has asked yet: the early answer is not kept.
        assert (await client.post(f"/decisions/{article}", json=yes)).status_code == 409
        assert (await client.get("/inbox")).json() == {"rows": [], "next": None}
        async with performing(dsn):

            async def asked() -> Any:
                return (await client.get("/inbox")).json()["rows"]

            (row,) = await eventually(asked)
            assert (row["workflow_id"], row["prompt"]) == (article, "May 'Spring' be published?")
            assert "approved" in row["payload_schema"]["*"]["properties"]
            assert (await client.get(f"/status/{article}")).json() == {
                "state": "running",
                "open_steps": 2,
                "result": None,
            }
            refused = await client.post(f"/decisions/{article}", json={"approved": True, "by": ""})
            assert refused.status_code == 422
            taken = await client.post(f"/decisions/{article}", json=yes)
            assert (taken.status_code, taken.json()) == (200, "settled")

            async def finished() -> Any:
                found = (await client.get(f"/status/{article}")).json()
                return found if found["state"] == "completed" else None

            assert (await eventually(finished))["result"] == "'Spring' was published by ada"
            assert (await client.post(f"/decisions/{article}", json=yes)).status_code == 409
        nobody = "0" * 32
        assert (await client.get(f"/status/{nobody}")).status_code == 404
        assert (await client.post(f"/decisions/{nobody}", json=yes)).status_code == 404
