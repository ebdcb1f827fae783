-- Waiting for the world: groups of awaited events, what each waits for, and the mailbox of events.
--
-- A group belongs to one step: to a gate, or to a wait inside a step (its key). It leaves 'pending' by one
-- guarded update under its workflow's lock, in baton_decide or where a wait is cancelled. While it is pending its
-- node counts one more in `pending`, so nothing but its settlement releases the job.
CREATE TABLE /*schema.*/workflow_wait_groups (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id uuid NOT NULL,
    job_id      bigint NOT NULL,
    key         text NOT NULL,
    gate        boolean NOT NULL,
    names       text[] NOT NULL,
    need        integer NOT NULL CHECK (need > 0),
    timeout     double precision,
    until       timestamptz,
    on_timeout  text NOT NULL CHECK (on_timeout IN ('result', 'cancel', 'discard')),
    fallback    jsonb,
    correlation text,
    prompt      text,
    answers     jsonb,
    status      text NOT NULL DEFAULT 'dormant'
        CHECK (status IN ('dormant', 'pending', 'completed', 'timeout', 'cancelled')),
    armed_at    timestamptz,
    deadline    timestamptz,
    wake_at     timestamptz,
    settled_at  timestamptz,
    reason      text,
    CONSTRAINT workflow_wait_groups_key UNIQUE (job_id, key)
) WITH (fillfactor = 70);

CREATE INDEX workflow_wait_groups_due_index
    ON /*schema.*/workflow_wait_groups (wake_at, id, workflow_id) WHERE wake_at IS NOT NULL;
CREATE INDEX workflow_wait_groups_open_index
    ON /*schema.*/workflow_wait_groups (id) WHERE status = 'pending';

CREATE TABLE /*schema.*/workflow_wait_members (
    group_id    bigint NOT NULL,
    name        text NOT NULL,
    workflow_id uuid NOT NULL,
    correlation text,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'received', 'missed')),
    event_id    bigint,
    PRIMARY KEY (group_id, name)
) WITH (fillfactor = 70);

CREATE INDEX workflow_wait_members_waiting_index
    ON /*schema.*/workflow_wait_members (workflow_id, name, group_id) WHERE state = 'waiting';
CREATE INDEX workflow_wait_members_key_index
    ON /*schema.*/workflow_wait_members (correlation, name, workflow_id, group_id)
    WHERE state = 'waiting' AND correlation IS NOT NULL;
-- For pruning events sent by a key, which stay as long as a wait that received them.
CREATE INDEX workflow_wait_members_event_index
    ON /*schema.*/workflow_wait_members (event_id) WHERE event_id IS NOT NULL AND correlation IS NOT NULL;

-- kept: in the mailbox, for a wait to come; taken: by one group. An event sent by a correlation key has no
-- workflow; it is open while it is handed out, then given, or kept when nobody waited.
--
-- newest_group is the newest group there was when the event was first looked at: a group that came later takes it
-- only if nobody has. Without that bound a step that waits in a loop would receive an event again and again for as
-- long as it stays open for somebody else.
--
-- trace is the span context of its sender, as a W3C traceparent: what receives the event links to it.
CREATE TABLE /*schema.*/workflow_events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id  uuid,
    correlation  text,
    name         text NOT NULL,
    payload      jsonb NOT NULL,
    dedupe_id    text,
    duplicates   integer NOT NULL DEFAULT 0,
    state        text NOT NULL DEFAULT 'kept' CHECK (state IN ('kept', 'taken', 'open', 'given')),
    group_id     bigint,
    receivers    integer NOT NULL DEFAULT 0,
    newest_group bigint,
    sent_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    wake_at      timestamptz,
    trace        text,
    CONSTRAINT workflow_events_scope CHECK ((workflow_id IS NULL) <> (correlation IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX workflow_events_mailbox_index
    ON /*schema.*/workflow_events (workflow_id, name, id) WHERE state = 'kept';
CREATE INDEX workflow_events_key_index
    ON /*schema.*/workflow_events (correlation, name, id)
    WHERE correlation IS NOT NULL AND state IN ('kept', 'open');
CREATE INDEX workflow_events_open_index
    ON /*schema.*/workflow_events (wake_at, id) WHERE state = 'open';
CREATE INDEX workflow_events_workflow_index
    ON /*schema.*/workflow_events (workflow_id, id);
CREATE INDEX workflow_events_age_index
    ON /*schema.*/workflow_events (sent_at, id) WHERE correlation IS NOT NULL;
CREATE UNIQUE INDEX workflow_events_dedupe_index
    ON /*schema.*/workflow_events (workflow_id, name, dedupe_id)
    WHERE dedupe_id IS NOT NULL AND workflow_id IS NOT NULL;
CREATE UNIQUE INDEX workflow_events_key_dedupe_index
    ON /*schema.*/workflow_events (correlation, name, dedupe_id)
    WHERE dedupe_id IS NOT NULL AND correlation IS NOT NULL;

-- What a step noted before a wait, so that its next run does not do it again.
CREATE TABLE /*schema.*/workflow_memos (
    job_id      bigint NOT NULL,
    key         text NOT NULL,
    workflow_id uuid NOT NULL,
    value       jsonb NOT NULL,
    inserted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, key)
);
