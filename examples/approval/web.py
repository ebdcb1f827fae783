"""The web process: `uvicorn examples.approval.web:app`. It inserts, asks and performs nothing."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from fastapi import FastAPI, HTTPException

from baton import Delivery, Engine, send_event
from baton.errors import UnknownWorkflowError, WorkflowFinishedError
from examples.approval.steps import Decision, article

DSN = os.environ.get("BATON_DATABASE_URL", "postgresql://localhost/postgres")

engine = Engine(DSN, name="web")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with engine:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/articles")
async def submit(title: str) -> UUID:
    workflow = article(title)
    await workflow.insert()
    return workflow.workflow_id


@app.get("/inbox")
async def inbox(after: str | None = None) -> dict[str, Any]:
    """A page of what waits for people; `payload_schema` is enough to make a form of each."""
    page = await engine.insights.waiting_steps(prompted=True, workflow_name="article", after=after)
    rows = [
        {
            "workflow_id": step.workflow_id,
            "prompt": step.prompt,
            "since": step.since,
            "deadline": step.deadline,
            "payload_schema": step.payload_schema,
        }
        for step in page
    ]
    return {"rows": rows, "next": page.next}


@app.post("/decisions/{workflow_id}")
async def decide(workflow_id: UUID, decision: Decision) -> str:
    connection = await asyncpg.connect(DSN)
    try:
        async with connection.transaction():
            delivery = await send_event(workflow_id, "decision", decision, conn=connection)
            if delivery is Delivery.BUFFERED:
                # Raised inside the transaction: the event is not kept for a later wait.
                raise HTTPException(409, "nobody waits for a decision now")
    except UnknownWorkflowError as error:
        raise HTTPException(404, error.message) from error
    except WorkflowFinishedError as error:
        raise HTTPException(409, error.message) from error
    finally:
        await connection.close()
    return delivery


@app.get("/status/{workflow_id}")
async def status(workflow_id: UUID) -> dict[str, Any]:
    handle = engine.workflow(workflow_id)
    try:
        detail = await handle.status()
    except UnknownWorkflowError as error:
        raise HTTPException(404, error.message) from error
    done = detail.completion is not None and "publish" not in detail.completion.failed_steps
    return {
        "state": detail.workflow.state,
        "open_steps": detail.workflow.outstanding_count,
        "result": await handle.result("publish", str) if done else None,
    }
