-- Baton's own tables. No foreign key points to oban_jobs: its rows are pruned by whoever runs the queue.

-- The row of a workflow is the workflow's lock: every change of a workflow locks it first,
-- several workflows in id order. No other lock order exists.
--
-- failed and skipped count the steps that settled so.
--
-- tags and attributes are NULL where none were given, and never change.
--
-- run counts how often the workflow was begun: what makes an ended workflow go on begins the next run, and each run
-- ends once. While paused_at is set, every step that has not settled counts one more in `pending`.
CREATE TABLE /*schema.*/workflows (
    id            uuid PRIMARY KEY,
    name          text,
    steps         integer NOT NULL,
    outstanding   integer NOT NULL,
    run           integer NOT NULL DEFAULT 1,
    failed        integer NOT NULL DEFAULT 0,
    skipped       integer NOT NULL DEFAULT 0,
    debug         boolean NOT NULL DEFAULT false,
    trace_context jsonb,
    inserted_at   timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    paused_at     timestamptz,
    pause_reason  text,
    forked_from   uuid,
    tags          text[],
    attributes    jsonb,
    input         jsonb,
    output_step   text,
    CONSTRAINT workflows_counts CHECK (
        outstanding BETWEEN 0 AND steps AND failed BETWEEN 0 AND steps AND skipped BETWEEN 0 AND steps AND run > 0
    )
) WITH (fillfactor = 60);

-- How a step settled. The job of a skipped step is cancelled: Oban has no state for it. One that remains of an
-- installation whose tables were dropped is replaced.
DROP TYPE IF EXISTS /*schema.*/step_state;
CREATE TYPE /*schema.*/step_state AS ENUM ('completed', 'cancelled', 'discarded', 'skipped');

-- When a workflow is cancelled unless it has ended: a row for those that were given a deadline, until it is dealt with.
-- A table of its own, so that workflows without one cost nothing.
CREATE TABLE /*schema.*/workflow_deadlines (
    workflow_id uuid PRIMARY KEY,
    deadline    timestamptz NOT NULL
);
CREATE INDEX workflow_deadlines_due_index
    ON /*schema.*/workflow_deadlines (deadline, workflow_id);

-- deps and dependents are job ids. pending counts the dependencies that have not settled, one more while the step
-- itself waits for events, and one more while its workflow is paused; waits marks a step that does so. released_at is
-- when it came to 0.
-- trace is the span context of the attempt that settled the step, as a W3C traceparent: what depends on the step
-- links to it.
-- grown_by is the job of the step that added this one while it ran.
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
    run_when_skipped boolean NOT NULL DEFAULT false,
    timeout          double precision,
    waits            boolean NOT NULL DEFAULT false,
    undecided        boolean NOT NULL DEFAULT false,
    released_at      timestamptz,
    state            /*schema.*/step_state,
    result           jsonb,
    trace            text,
    model            text,
    debug            boolean NOT NULL DEFAULT false,
    any_of           bigint[],
    any_dependents   bigint[],
    any_of_state     /*schema.*/step_state,
    condition        jsonb,
    grown_by         bigint,
    CONSTRAINT workflow_nodes_name_key UNIQUE (workflow_id, name),
    CONSTRAINT workflow_nodes_pending CHECK (pending >= 0),
    CONSTRAINT workflow_nodes_result CHECK (result IS NULL OR state IS NOT NULL)
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);

-- For a retry, which takes back what a step that it begins anew had added.
CREATE INDEX workflow_nodes_grown_index
    ON /*schema.*/workflow_nodes (workflow_id, grown_by) WHERE grown_by IS NOT NULL;

-- One row per finished run of a workflow; its insertion is the claim to announce.
CREATE TABLE /*schema.*/workflow_completions (
    workflow_id   uuid NOT NULL,
    run           integer NOT NULL DEFAULT 1,
    workflow_name text,
    outcome       text NOT NULL CHECK (outcome IN ('completed', 'failed', 'cancelled')),
    failed_steps  text[] NOT NULL DEFAULT '{}',
    skipped_steps text[] NOT NULL DEFAULT '{}',
    failed_count  integer NOT NULL,
    total_count   integer NOT NULL,
    inserted_at   timestamptz NOT NULL,
    finished_at   timestamptz NOT NULL,
    output        jsonb,
    announced_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workflow_id, run)
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

-- For those who look: workflows newest first, all or those of one name, and those that ended otherwise than completed.
-- What is indexed never changes, so that settling stays heap-only.
CREATE INDEX workflows_inserted_index
    ON /*schema.*/workflows (inserted_at, id);
CREATE INDEX workflows_name_index
    ON /*schema.*/workflows (name, inserted_at, id) WHERE name IS NOT NULL;
CREATE INDEX workflows_tags_index
    ON /*schema.*/workflows USING gin (tags) WHERE tags IS NOT NULL;
CREATE INDEX workflows_attributes_index
    ON /*schema.*/workflows USING gin (attributes jsonb_path_ops) WHERE attributes IS NOT NULL;
CREATE INDEX workflow_completions_outcome_index
    ON /*schema.*/workflow_completions (outcome, inserted_at, workflow_id) WHERE outcome <> 'completed';

-- Waiting for the world: groups of awaited events, what each waits for, and the mailbox of events.
--
-- A group belongs to one step: to a wait step, or to a wait inside a step (its replay key). It leaves 'pending' by one
-- guarded update under its workflow's lock, in baton_decide_waits or where a wait is cancelled. While it is pending its
-- node counts one more in `pending`, so nothing but its settlement releases the job.
CREATE TABLE /*schema.*/workflow_wait_groups (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id     uuid NOT NULL,
    job_id          bigint NOT NULL,
    replay_key      text NOT NULL,
    wait_step       boolean NOT NULL,
    names           text[] NOT NULL,
    need            integer NOT NULL CHECK (need > 0),
    timeout         double precision,
    until           timestamptz,
    on_timeout      text NOT NULL CHECK (on_timeout IN ('result', 'cancel', 'discard')),
    fallback        jsonb,
    correlation_key text,
    prompt          text,
    payload_schema  jsonb,
    status          text NOT NULL DEFAULT 'dormant'
        CHECK (status IN ('dormant', 'pending', 'completed', 'timeout', 'cancelled')),
    armed_at        timestamptz,
    deadline        timestamptz,
    wake_at         timestamptz,
    settled_at      timestamptz,
    reason          text,
    CONSTRAINT workflow_wait_groups_key UNIQUE (job_id, replay_key)
) WITH (fillfactor = 70);

CREATE INDEX workflow_wait_groups_due_index
    ON /*schema.*/workflow_wait_groups (wake_at, id, workflow_id) WHERE wake_at IS NOT NULL;
CREATE INDEX workflow_wait_groups_open_index
    ON /*schema.*/workflow_wait_groups (id) WHERE status = 'pending';

CREATE TABLE /*schema.*/workflow_wait_members (
    group_id        bigint NOT NULL,
    name            text NOT NULL,
    workflow_id     uuid NOT NULL,
    correlation_key text,
    state           text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'received', 'missed')),
    event_id        bigint,
    PRIMARY KEY (group_id, name)
) WITH (fillfactor = 70);

CREATE INDEX workflow_wait_members_waiting_index
    ON /*schema.*/workflow_wait_members (workflow_id, name, group_id) WHERE state = 'waiting';
CREATE INDEX workflow_wait_members_key_index
    ON /*schema.*/workflow_wait_members (correlation_key, name, workflow_id, group_id)
    WHERE state = 'waiting' AND correlation_key IS NOT NULL;
-- For pruning events sent by a key, which stay as long as a wait that received them.
CREATE INDEX workflow_wait_members_event_index
    ON /*schema.*/workflow_wait_members (event_id) WHERE event_id IS NOT NULL AND correlation_key IS NOT NULL;

-- kept: in the mailbox, for a wait to come; taken: by one group; dropped: taken by one that a retry has undone. An event sent by a correlation key has no
-- workflow; it is open while it is handed out, then given, or kept when nobody waited.
--
-- newest_group is the newest group there was when the event was first looked at: a group that came later takes it
-- only if nobody has. Without that bound a step that waits in a loop would receive an event again and again for as
-- long as it stays open for somebody else.
--
-- trace is the span context of its sender, as a W3C traceparent: what receives the event links to it.
CREATE TABLE /*schema.*/workflow_events (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id     uuid,
    correlation_key text,
    name            text NOT NULL,
    payload         jsonb NOT NULL,
    dedupe_id       text,
    duplicates      integer NOT NULL DEFAULT 0,
    state           text NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'taken', 'open', 'given', 'dropped')),
    group_id        bigint,
    receivers       integer NOT NULL DEFAULT 0,
    newest_group    bigint,
    sent_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    wake_at         timestamptz,
    trace           text,
    CONSTRAINT workflow_events_scope CHECK ((workflow_id IS NULL) <> (correlation_key IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX workflow_events_mailbox_index
    ON /*schema.*/workflow_events (workflow_id, name, id) WHERE state = 'kept';
CREATE INDEX workflow_events_key_index
    ON /*schema.*/workflow_events (correlation_key, name, id)
    WHERE correlation_key IS NOT NULL AND state IN ('kept', 'open');
CREATE INDEX workflow_events_open_index
    ON /*schema.*/workflow_events (wake_at, id) WHERE state = 'open';
CREATE INDEX workflow_events_workflow_index
    ON /*schema.*/workflow_events (workflow_id, id);
CREATE INDEX workflow_events_age_index
    ON /*schema.*/workflow_events (sent_at, id) WHERE correlation_key IS NOT NULL;
CREATE UNIQUE INDEX workflow_events_dedupe_index
    ON /*schema.*/workflow_events (workflow_id, name, dedupe_id)
    WHERE dedupe_id IS NOT NULL AND workflow_id IS NOT NULL;
CREATE UNIQUE INDEX workflow_events_key_dedupe_index
    ON /*schema.*/workflow_events (correlation_key, name, dedupe_id)
    WHERE dedupe_id IS NOT NULL AND correlation_key IS NOT NULL;

-- What a step noted before a wait, so that its next run does not do it again.
CREATE TABLE /*schema.*/workflow_memos (
    job_id      bigint NOT NULL,
    key         text NOT NULL,
    workflow_id uuid NOT NULL,
    value       jsonb NOT NULL,
    inserted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, key)
);

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

-- What a retry replaced: how each step that it reset had settled, or how far it had come, in the run that it
-- belonged to. state is null for a step that had not settled. result and error stay readable until the workflow is
-- pruned.
CREATE TABLE /*schema.*/workflow_step_history (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id  uuid NOT NULL,
    job_id       bigint NOT NULL,
    name         text NOT NULL,
    run          integer NOT NULL,
    state        text,
    result       jsonb,
    error        text,
    attempt      integer,
    max_attempts integer,
    attempted_at timestamptz,
    ended_at     timestamptz,
    replaced_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX workflow_step_history_workflow
    ON /*schema.*/workflow_step_history (workflow_id, job_id, id);

-- Who did what to a workflow: one row per action, written in the transaction that carries it out. details holds what
-- was asked for, result what came of it. bulk_id is the operation on many workflows that it is part of: one that goes on
-- after a crash finds here what it has done.
CREATE TABLE /*schema.*/baton_actions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id uuid,
    step        text,
    action      text NOT NULL,
    actor       text,
    reason      text,
    run         integer,
    details     jsonb NOT NULL DEFAULT '{}',
    result      jsonb NOT NULL DEFAULT '{}',
    bulk_id     uuid,
    done_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX baton_actions_workflow ON /*schema.*/baton_actions (workflow_id, id);
CREATE UNIQUE INDEX baton_actions_bulk ON /*schema.*/baton_actions (bulk_id, workflow_id) WHERE bulk_id IS NOT NULL;

-- Operations on all workflows that match a filter, newest first. batch holds the workflows under way, cursor where the
-- list goes on after them (NULL: nowhere); both, and the counts, move in one update per batch, which names the position
-- it has seen, so that of several processes at it one moves it.
CREATE TABLE /*schema.*/baton_bulk (
    id          uuid PRIMARY KEY,
    action      text NOT NULL,
    filter      jsonb NOT NULL,
    options     jsonb NOT NULL,
    actor       text,
    reason      text,
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished')),
    matched     integer NOT NULL,
    done        integer NOT NULL DEFAULT 0,
    passed      integer NOT NULL DEFAULT 0,
    failed      integer NOT NULL DEFAULT 0,
    failures    jsonb NOT NULL DEFAULT '[]',
    batch       uuid[] NOT NULL DEFAULT '{}',
    cursor      text,
    position    integer NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
CREATE INDEX baton_bulk_started ON /*schema.*/baton_bulk (started_at, id);

-- The jobs of steps whose rows somebody deleted before the workflow was pruned, so that a retry can make them again
-- under their ids. Written by a trigger, baton_keep_deleted_jobs, so that whoever prunes oban_jobs need not know.
--
-- state is what a job was when its row was deleted. By its type, the only one here that is Oban's, is known which
-- oban_jobs these tables go with.
CREATE TABLE /*schema.*/workflow_deleted_jobs (
    job_id       bigint PRIMARY KEY,
    workflow_id  uuid NOT NULL,
    state        /*oban.*/oban_job_state,
    queue        text NOT NULL,
    worker       text NOT NULL,
    args         jsonb NOT NULL,
    meta         jsonb NOT NULL,
    tags         text[] NOT NULL,
    priority     integer NOT NULL,
    attempt      integer NOT NULL,
    max_attempts integer NOT NULL,
    inserted_at  timestamp NOT NULL,
    deleted_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX workflow_deleted_jobs_workflow ON /*schema.*/workflow_deleted_jobs (workflow_id);

-- The function's text stands in functions/. Where oban_jobs belongs to another role, its deleted jobs are not kept, and
-- a retry that needs one says so.
DO $keep$
BEGIN
    CREATE OR REPLACE FUNCTION /*schema.*/baton_keep_deleted_jobs()
    RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS 'BEGIN RETURN NULL; END';
    CREATE OR REPLACE TRIGGER baton_keep_deleted_jobs
        AFTER DELETE ON /*oban.*/oban_jobs
        REFERENCING OLD TABLE AS deleted
        FOR EACH STATEMENT
        EXECUTE FUNCTION /*schema.*/baton_keep_deleted_jobs();
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'deleted jobs are not kept for retries: this role may make no trigger on oban_jobs';
END
$keep$;
