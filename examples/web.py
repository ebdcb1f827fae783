"""A FastAPI application that inserts a workflow in the same transaction as its own rows."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from fastapi import FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from baton import Baton, Engine, Step, worker
from baton.errors import CompletionTimeoutError, UnknownWorkflowError

DSN = os.environ.get("BATON_DATABASE_URL", "postgresql://localhost/postgres")

sql = create_async_engine(DSN.replace("postgresql://", "postgresql+asyncpg://", 1))
sessions = async_sessionmaker(sql)
engine = Engine(DSN)  # no queues: inserts, waits and cancels, performs nothing


@worker(queue="mail")
async def confirm(step: Step, *, order_id: int) -> str:
    return f"confirmed order {order_id}"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with engine:
        yield
    await sql.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def order(item: str) -> dict[str, Any]:
    async with sessions.begin() as session:
        insert = text("INSERT INTO orders (item) VALUES (:item) RETURNING id")
        order_id = (await session.execute(insert, {"item": item})).scalar_one()
        workflow = Baton(workflow_name="order").add("confirm", confirm.new(order_id=order_id))
        await workflow.insert(conn=session)  # comes and goes with the order
    return {"order_id": order_id, "workflow_id": workflow.workflow_id}


@app.get("/workflows/{workflow_id}")
async def wait(workflow_id: UUID, seconds: float = 10) -> str:
    try:
        completion = await engine.workflow(workflow_id).completion(timeout=seconds)
    except UnknownWorkflowError as error:
        raise HTTPException(404, error.message) from error
    except CompletionTimeoutError:
        return "unfinished"
    return completion.outcome
