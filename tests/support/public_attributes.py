"""What users see of the objects of the public modules, name by name."""

from __future__ import annotations

SHOWN: dict[str, str] = {
    "Baton": (
        "add add_models completion handle input input_as insert output step step_names validate "
        "wait workflow_id workflow_name"
    ),
    "Cancel": "reason",
    "Completion": (
        "announced_at duration failed_count failed_steps finished_at inserted_at outcome output "
        "run skipped_steps total_count workflow_id workflow_name"
    ),
    "Database": ("application_name close connection dsn oban_schema open schema state transaction"),
    "Delivery": "BUFFERED DELIVERED DUPLICATE SETTLED",
    "Discard": "reason",
    "Engine": (
        "database engine_id insights lifespan name plugins queue resume_bulk run settings state "
        "stop wake workflow workflows"
    ),
    "EngineSettings": (
        "acquire_timeout capture_limit command_timeout debug foreign_rescue_after "
        "heartbeat_interval interrupt_grace max_rescues name node notify poll_interval pool_size "
        "queues rescue_after rescue_interval result_limit settle_limit settlers shutdown_grace "
        "stage_interval stage_limit threads transactions"
    ),
    "FunctionWorker": "new",
    "Job": "id name queue state worker workflow_id",
    "JobState": "AVAILABLE CANCELLED COMPLETED DISCARDED EXECUTING RETRYABLE SCHEDULED SUSPENDED",
    "NewJob": "args",
    "OnTimeout": "CANCEL DISCARD RESULT",
    "Plugin": "interval run sweep",
    "ProcessExecutor": "",
    "QueueHandle": "name pause resume scale",
    "Skip": "reason",
    "Snooze": "seconds",
    "Step": (
        "add attempt capture debug input job_id max_attempts memo meta model name own_result "
        "record_usage result results results_by_model session sleep sleep_until transaction "
        "wait wait_all wait_any wait_for wait_n workflow_id workflow_name"
    ),
    "StepRef": "name output",
    "SyncStep": (
        "add attempt capture debug job_id max_attempts meta model name record_usage result results "
        "results_by_model wait workflow_id workflow_name"
    ),
    "UnsettledStep": "name queue served state",
    "WaitCancelled": "reason",
    "WaitEvents": "events missing winner",
    "WaitTimeout": "missing received",
    "WaitingStep": (
        "correlation_key deadline missing names need payload_schema prompt received replay_key "
        "since step wait_id workflow_id workflow_name"
    ),
    "Worker": "backoff on_dep_cancelled on_dep_discarded timeout",
    "WorkflowHandle": (
        "cancel cancel_step cancel_wait captures complete_step completion extend fork output pause "
        "result resume retry send_event status steps usage waiting_steps workflow_id"
    ),
    "WorkflowsHandle": "cancel count pause resume retry",
    "Bulk": (
        "action actor bulk_id done failed failures filter finished_at matched options passed "
        "reason started_at state"
    ),
    "BulkFailure": "error workflow_id",
    "BulkState": "FINISHED RUNNING",
    "Retried": "run steps",
    "RetryMode": "ALL FAILED FAILED_AND_DOWNSTREAM",
    "WorkflowOutcome": "CANCELLED COMPLETED FAILED",
    "Action": "action action_id actor bulk_id details done_at reason result run step workflow_id",
    "EngineRow": "engine_id live name node queues rescue_after seen_at silent_for started_at",
    "Insights": "actions bulks engines history queues steps waiting_steps why workflow workflows",
    "Page": "next rows",
    "QueueRow": (
        "available available_for engines executing executing_for queue retryable room scheduled "
        "suspended"
    ),
    "Reason": (
        "DEPENDENCIES DOOMED ENDED EVENTS EXECUTING EXHAUSTED FOREIGN GONE NO_ENGINE ORPHANED "
        "PAUSED QUEUED RETRYABLE SCHEDULED SETTLED UNKNOWN_STATE UNRELEASED"
    ),
    "StepCounts": (
        "available cancelled completed discarded executing gone retryable scheduled skipped "
        "suspended"
    ),
    "StepHistory": (
        "attempt attempted_at ended_at error history_id replaced_at result run state step "
        "workflow_id"
    ),
    "StepState": "CANCELLED COMPLETED DISCARDED SKIPPED",
    "StepRow": (
        "attempt attempted_at dependencies error finished_at has_result job_id job_state "
        "max_attempts name queue scheduled_at settled worker"
    ),
    "WaitsFor": "name state",
    "Why": (
        "ahead dependencies engine error events executing job_id job_state live_engines queue "
        "reason sentence serving_engines settled since step until workflow_id"
    ),
    "WorkflowDetail": "completion counts deadline forked_from input output_step run workflow",
    "WorkflowRow": (
        "attributes duration error failed_count failed_step finished_at inserted_at "
        "outstanding_count pause_reason paused_at state tags total_count workflow_id workflow_name"
    ),
    "WorkflowState": "CANCELLED COMPLETED FAILED RUNNING",
    "Role": "ENQUEUE READ WORKER",
    "SchemaReport": "expected ok problems schema version warnings",
    "Capture": "attempt content id label recorded_at step workflow_id",
    "ModelUsage": (
        "cache_read_tokens cache_write_tokens cost input_tokens latency_ms model output_tokens "
        "provider records unpriced"
    ),
    "Usage": (
        "cache_read_tokens cache_write_tokens cost input_tokens latency_ms output_tokens records "
        "unpriced"
    ),
    "WorkflowUsage": (
        "cache_read_tokens cache_write_tokens cost input_tokens latency_ms models output_tokens "
        "records unpriced workflow_id"
    ),
}
"""By class: methods, properties, fields and what `__init__` sets."""
