-- What models cost, and what steps captured for debugging. Both are only ever appended to. The ids are made by
-- the process that writes, so that a write whose reply was lost can be repeated without counting twice.
-- workflow_id and step are null for a job outside a workflow.

-- One row per use of a model. cost is in USD, and null where no price was known. recorded_at is the time of
-- the write, by the database's clock.
CREATE TABLE /*schema.*/workflow_step_stats (
    id                 uuid PRIMARY KEY,
    workflow_id        uuid,
    job_id             bigint NOT NULL,
    step               text,
    attempt            integer NOT NULL,
    provider           text,
    model              text NOT NULL,
    input_tokens       bigint NOT NULL,
    output_tokens      bigint NOT NULL,
    cache_read_tokens  bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    latency_ms         bigint,
    cost               numeric,
    recorded_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT workflow_step_stats_counts CHECK (
        input_tokens >= 0 AND output_tokens >= 0 AND cache_read_tokens >= 0 AND cache_write_tokens >= 0
        AND latency_ms >= 0 AND cost >= 0
    )
);
CREATE INDEX workflow_step_stats_workflow ON /*schema.*/workflow_step_stats (workflow_id);
-- For pruning what jobs outside workflows left.
CREATE INDEX workflow_step_stats_loose ON /*schema.*/workflow_step_stats (id) WHERE workflow_id IS NULL;

CREATE TABLE /*schema.*/workflow_debug_logs (
    id          uuid PRIMARY KEY,
    workflow_id uuid,
    job_id      bigint NOT NULL,
    step        text,
    attempt     integer NOT NULL,
    label       text NOT NULL,
    content     jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- In the order of reading, so that no plan looks for a workflow's entries through the age of all.
CREATE INDEX workflow_debug_logs_workflow
    ON /*schema.*/workflow_debug_logs (workflow_id, recorded_at, id);
-- For pruning by age.
CREATE INDEX workflow_debug_logs_recorded_at ON /*schema.*/workflow_debug_logs (recorded_at);
CREATE INDEX workflow_debug_logs_loose ON /*schema.*/workflow_debug_logs (id) WHERE workflow_id IS NULL;
