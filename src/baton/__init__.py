"""Baton: DAG workflows of jobs on PostgreSQL, inside the asyncio application that uses it."""

from baton.app import Engine
from baton.core.outcome import Cancel, Discard, Snooze
from baton.core.waits import WaitCancelled, WaitEvents, WaitTimeout
from baton.engine.telemetry import subscribe
from baton.store.database import Database
from baton.words.config import EngineSettings
from baton.words.errors import BatonError
from baton.words.rows import Completion, Job, WaitingStep
from baton.words.states import Delivery, JobState, OnTimeout, WorkflowOutcome
from baton.workflow.builder import Baton
from baton.workflow.function_worker import worker
from baton.workflow.insert import insert_all
from baton.workflow.plugin.plugin import Plugin
from baton.workflow.processes import ProcessExecutor
from baton.workflow.step import Step, SyncStep
from baton.workflow.waits.control import cancel_wait, waiting_steps
from baton.workflow.waits.sending import send_event
from baton.workflow.worker import Worker

__all__ = [
    "Baton",
    "BatonError",
    "Cancel",
    "Completion",
    "Database",
    "Delivery",
    "Discard",
    "Engine",
    "EngineSettings",
    "Job",
    "JobState",
    "OnTimeout",
    "Plugin",
    "ProcessExecutor",
    "Snooze",
    "Step",
    "SyncStep",
    "WaitCancelled",
    "WaitEvents",
    "WaitTimeout",
    "WaitingStep",
    "Worker",
    "WorkflowOutcome",
    "cancel_wait",
    "insert_all",
    "send_event",
    "subscribe",
    "waiting_steps",
    "worker",
]
