-- What reads after it locks must see what the former owner of the lock committed.
CREATE OR REPLACE FUNCTION /*schema.*/baton_require_read_committed()
RETURNS void
LANGUAGE plpgsql
AS $require$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'this reads after it locks: it needs READ COMMITTED, not %',
            current_setting('transaction_isolation')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$require$;
