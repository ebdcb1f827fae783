-- The queue's table is Oban's. Where Oban made it (the Python package, or the Elixir one at version
-- 12 or later) it stays as it is, but for the state 'suspended', which Oban itself adds when it is
-- missing. Elsewhere it is made in the Python package's form, under the same names: should that
-- package be installed later, it finds everything in place. Its schema may be another than that of
-- Baton's tables.
DO $oban$
DECLARE
    v_schema oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = /*oban_literal*/'baton');
    v_jobs   oid := (
        SELECT c.oid FROM pg_class c WHERE c.relnamespace = v_schema AND c.relname = 'oban_jobs'
    );
    v_state  oid := (
        SELECT t.oid FROM pg_type t WHERE t.typnamespace = v_schema AND t.typname = 'oban_job_state'
    );
    v_lacks  text;
BEGIN
    IF v_schema IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', /*oban_literal*/'baton');
    END IF;

    IF v_state IS NULL THEN
        CREATE TYPE /*oban.*/oban_job_state AS ENUM (
            'available', 'scheduled', 'suspended', 'executing',
            'retryable', 'completed', 'discarded', 'cancelled'
        );
        UPDATE /*schema.*/baton_migrations
        SET created = created || '{oban_job_state}'
        WHERE version = 1;
    ELSIF NOT EXISTS (
        SELECT FROM pg_enum e WHERE e.enumtypid = v_state AND e.enumlabel = 'suspended'
    ) THEN
        ALTER TYPE /*oban.*/oban_job_state ADD VALUE 'suspended' BEFORE 'scheduled';
    END IF;

    IF v_jobs IS NOT NULL THEN
        SELECT string_agg(w.name, ', ')
        INTO v_lacks
        FROM unnest(ARRAY[
            'id', 'state', 'queue', 'worker', 'attempt', 'max_attempts', 'priority', 'args', 'meta',
            'tags', 'errors', 'attempted_by', 'inserted_at', 'scheduled_at', 'attempted_at',
            'cancelled_at', 'completed_at', 'discarded_at'
        ]) AS w (name)
        WHERE NOT EXISTS (
            SELECT FROM pg_attribute a
            WHERE a.attrelid = v_jobs AND a.attname = w.name AND NOT a.attisdropped
        );
        IF v_lacks IS NOT NULL THEN
            RAISE EXCEPTION 'the table oban_jobs lacks: %', v_lacks
                USING HINT = 'bring Oban to version 12 or later with its own migrations first';
        END IF;
        RETURN;
    END IF;

    CREATE TABLE /*oban.*/oban_jobs (
        id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        state        /*oban.*/oban_job_state NOT NULL DEFAULT 'available',
        queue        text NOT NULL DEFAULT 'default',
        worker       text NOT NULL,
        attempt      smallint NOT NULL DEFAULT 0,
        max_attempts smallint NOT NULL DEFAULT 20,
        priority     smallint NOT NULL DEFAULT 0,
        args         jsonb NOT NULL DEFAULT '{}',
        meta         jsonb NOT NULL DEFAULT '{}',
        tags         text[] NOT NULL DEFAULT ARRAY[]::text[],
        errors       jsonb NOT NULL DEFAULT '[]',
        attempted_by text[] NOT NULL DEFAULT ARRAY[]::text[],
        inserted_at  timestamp NOT NULL DEFAULT timezone('UTC', now()),
        scheduled_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
        attempted_at timestamp,
        cancelled_at timestamp,
        completed_at timestamp,
        discarded_at timestamp,
        CONSTRAINT attempt_range CHECK (attempt >= 0 AND attempt <= max_attempts),
        CONSTRAINT non_negative_priority CHECK (priority >= 0),
        CONSTRAINT positive_max_attempts CHECK (max_attempts > 0),
        CONSTRAINT queue_length CHECK (char_length(queue) > 0),
        CONSTRAINT worker_length CHECK (char_length(worker) > 0)
    ) WITH (
        fillfactor = 85,
        autovacuum_analyze_scale_factor = 0.02,
        autovacuum_analyze_threshold = 100,
        autovacuum_vacuum_cost_delay = 1,
        autovacuum_vacuum_cost_limit = 2000,
        autovacuum_vacuum_insert_scale_factor = 0.02,
        autovacuum_vacuum_insert_threshold = 1000,
        autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_threshold = 50
    );

    CREATE INDEX oban_jobs_state_queue_priority_scheduled_at_id_index
        ON /*oban.*/oban_jobs (state, queue, priority, scheduled_at, id) WITH (fillfactor = 90);
    CREATE INDEX oban_jobs_staging_index
        ON /*oban.*/oban_jobs (scheduled_at, id) INCLUDE (queue)
        WHERE state IN ('scheduled', 'retryable');
    CREATE INDEX oban_jobs_cancelled_at_index
        ON /*oban.*/oban_jobs (cancelled_at) WHERE state = 'cancelled';
    CREATE INDEX oban_jobs_completed_at_index
        ON /*oban.*/oban_jobs (completed_at) WHERE state = 'completed';
    CREATE INDEX oban_jobs_discarded_at_index
        ON /*oban.*/oban_jobs (discarded_at) WHERE state = 'discarded';

    UPDATE /*schema.*/baton_migrations
    SET created = created || '{oban_jobs}'
    WHERE version = 1;
END
$oban$;
