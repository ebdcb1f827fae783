"""Baton: DAG workflows of jobs on PostgreSQL, inside the asyncio application that uses it."""

from baton.app import Engine
from baton.core.outcome import Cancel, Discard, Snooze
from baton.engine.telemetry import subscribe
from baton.store.database import Database
from baton.words.config import EngineSettings
from baton.words.errors import BatonError
from baton.words.rows import Completion, Job
from baton.words.states import JobState, WorkflowOutcome
from baton.workflow.builder import Baton
from baton.workflow.function_worker import worker
from baton.workflow.insert import insert_all
from baton.workflow.plugin import Plugin
from baton.workflow.step import Step, SyncStep
from baton.workflow.worker import Worker

__all__ = [
    "Baton",
    "BatonError",
    "Cancel",
    "Completion",
    "Database",
    "Discard",
    "Engine",
    "EngineSettings",
    "Job",
    "JobState",
    "Plugin",
    "Snooze",
    "Step",
    "SyncStep",
    "Worker",
    "WorkflowOutcome",
    "insert_all",
    "subscribe",
    "worker",
]
