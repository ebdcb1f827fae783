-- Baton's own tables. No foreign key points to oban_jobs: its rows are pruned by whoever runs the queue.

-- The row of a workflow is the workflow's lock: every change of a workflow locks it first,
-- several workflows in id order. No other lock order exists.
CREATE TABLE /*schema.*/workflows (
    id            uuid PRIMARY KEY,
    name          text,
    steps         integer NOT NULL,
    outstanding   integer NOT NULL,
    failed        integer NOT NULL DEFAULT 0,
    debug         boolean NOT NULL DEFAULT false,
    trace_context jsonb,
    inserted_at   timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    CONSTRAINT workflows_counts CHECK (outstanding BETWEEN 0 AND steps AND failed BETWEEN 0 AND steps)
) WITH (fillfactor = 60);

-- deps and dependents are job ids. pending counts the dependencies that have not settled, and one more while the
-- step itself waits for events; waits marks a step that does so. released_at is when it came to 0.
-- trace is the span context of the attempt that settled the step, as a W3C traceparent: what depends on the step
-- links to it.
-- model is what the step's model map chose; debug repeats the workflow's, because a claim reads the node anyway.
-- No index covers a column that settling changes, so that those updates stay heap-only.
CREATE TABLE /*schema.*/workflow_nodes (
    job_id           bigint PRIMARY KEY,
    workflow_id      uuid NOT NULL,
    name             text NOT NULL,
    deps             bigint[] NOT NULL DEFAULT '{}',
    dependents       bigint[] NOT NULL DEFAULT '{}',
    pending          integer NOT NULL DEFAULT 0,
    ignore_cancelled boolean NOT NULL DEFAULT false,
    ignore_discarded boolean NOT NULL DEFAULT false,
    timeout          double precision,
    waits            boolean NOT NULL DEFAULT false,
    released_at      timestamptz,
    state            /*schema.*/oban_job_state,
    result           jsonb,
    trace            text,
    model            text,
    debug            boolean NOT NULL DEFAULT false,
    CONSTRAINT workflow_nodes_name_key UNIQUE (workflow_id, name),
    CONSTRAINT workflow_nodes_pending CHECK (pending >= 0),
    CONSTRAINT workflow_nodes_result CHECK (result IS NULL OR state IS NOT NULL)
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);

-- One row per finished workflow; its insertion is the claim to announce.
CREATE TABLE /*schema.*/workflow_completions (
    workflow_id   uuid PRIMARY KEY,
    workflow_name text,
    outcome       text NOT NULL CHECK (outcome IN ('completed', 'failed')),
    failed_steps  text[] NOT NULL DEFAULT '{}',
    failed_count  integer NOT NULL,
    total_count   integer NOT NULL,
    inserted_at   timestamptz NOT NULL,
    finished_at   timestamptz NOT NULL,
    announced_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row per engine process start, kept alive by its heartbeat. Logged on purpose: an unlogged table
-- is empty after a crash of the server, and every running job would look orphaned.
-- rescue_after (seconds) is the engine's own word for how long it may be silent: an engine with a
-- shorter one of its own must not take the jobs of a slower beating one.
-- steady_since is when its beats began to come without a long gap: after an outage of the database every
-- engine has been silent, so only one that has been steady for as long as another is silent may call it dead.
-- place, process and process_start name the operating system's process, for engines of the same machine.
-- queues holds the limit of each queue it serves, 0 while it is paused there.
CREATE TABLE /*schema.*/baton_engines (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    node          text NOT NULL,
    rescue_after  double precision NOT NULL DEFAULT 0,
    place         text,
    process       integer,
    process_start bigint,
    queues        jsonb NOT NULL DEFAULT '{}',
    started_at    timestamptz NOT NULL DEFAULT now(),
    seen_at       timestamptz NOT NULL DEFAULT now(),
    steady_since  timestamptz NOT NULL DEFAULT now()
);
