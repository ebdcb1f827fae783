-- Drops the queue's table only where Baton made it, Oban has not moved in since (its tables beside
-- it, its version in the comment), and no unfinished job would be lost. A table that Oban made is
-- never touched, and the state 'suspended' stays: PostgreSQL cannot take it away again.
DO $oban$
DECLARE
    v_schema     oid := (
        SELECT n.oid FROM pg_namespace n WHERE n.nspname = /*oban_literal*/'baton'
    );
    v_created    text[] := (
        SELECT m.created FROM /*schema.*/baton_migrations m WHERE m.version = 1
    );
    v_jobs       oid := (
        SELECT c.oid FROM pg_class c WHERE c.relnamespace = v_schema AND c.relname = 'oban_jobs'
    );
    v_unfinished bigint;
BEGIN
    IF obj_description(v_jobs, 'pg_class') ~ '^[0-9]+$' OR EXISTS (
        SELECT FROM pg_class c
        WHERE c.relnamespace = v_schema
            AND c.relname IN ('oban_leaders', 'oban_producers', 'oban_peers')
    ) THEN
        RETURN;
    END IF;

    IF v_jobs IS NOT NULL AND 'oban_jobs' = ANY (v_created) THEN
        LOCK TABLE /*oban.*/oban_jobs IN ACCESS EXCLUSIVE MODE;
        SELECT count(*)
        INTO v_unfinished
        FROM /*oban.*/oban_jobs j
        WHERE j.state NOT IN ('completed', 'discarded', 'cancelled');
        IF v_unfinished > 0 THEN
            RAISE EXCEPTION '% unfinished jobs in oban_jobs would be lost', v_unfinished
                USING HINT = 'let them finish, cancel them or delete them first';
        END IF;
        DROP TABLE /*oban.*/oban_jobs;
        v_jobs := NULL;
    END IF;

    IF v_jobs IS NULL AND 'oban_job_state' = ANY (v_created) THEN
        DROP TYPE /*oban.*/oban_job_state;
    END IF;
END
$oban$;
