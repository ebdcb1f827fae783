"""Baton: DAG workflows of jobs on PostgreSQL, inside the asyncio application that uses it."""

from baton.building.builder import Baton
from baton.building.insert import insert_all
from baton.core.outcome import Cancel, Discard, Skip, Snooze
from baton.core.waits import WaitCancelled, WaitEvents, WaitOutcome, WaitTimeout
from baton.engine import Engine
from baton.handles.queue import QueueHandle
from baton.handles.workflow import WorkflowHandle
from baton.handles.workflows import WorkflowsHandle
from baton.performing.process_executor import ProcessExecutor
from baton.steps.reference import StepRef
from baton.steps.step import Step, SyncStep
from baton.store.database import Database
from baton.sweep.plugin import Plugin
from baton.telemetry.seam import subscribe
from baton.waits.send import send_event
from baton.words.base_error import BatonError
from baton.words.config import EngineSettings
from baton.words.rows import Completion, Job, UnsettledStep, WaitingStep
from baton.words.runs import Retried, RetryMode
from baton.words.states import Delivery, JobState, OnTimeout, StepState, WorkflowOutcome
from baton.workers.args import NewJob
from baton.workers.class_worker import Worker
from baton.workers.function_worker import FunctionWorker, worker

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
    "FunctionWorker",
    "Job",
    "JobState",
    "NewJob",
    "OnTimeout",
    "Plugin",
    "ProcessExecutor",
    "QueueHandle",
    "Retried",
    "RetryMode",
    "Skip",
    "Snooze",
    "Step",
    "StepRef",
    "StepState",
    "SyncStep",
    "UnsettledStep",
    "WaitCancelled",
    "WaitEvents",
    "WaitOutcome",
    "WaitTimeout",
    "WaitingStep",
    "Worker",
    "WorkflowHandle",
    "WorkflowOutcome",
    "WorkflowsHandle",
    "insert_all",
    "send_event",
    "subscribe",
    "worker",
]
