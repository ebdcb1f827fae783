DROP FUNCTION IF EXISTS /*schema.*/baton_arm(bigint[], boolean, boolean, boolean);
DROP FUNCTION IF EXISTS /*schema.*/baton_decide(bigint[], bigint[], boolean, boolean);
DROP FUNCTION IF EXISTS /*schema.*/baton_wake(bigint, boolean);
DROP FUNCTION IF EXISTS /*schema.*/baton_lock_free(bigint[]);
DROP FUNCTION IF EXISTS /*schema.*/baton_close_waits(bigint[], text);
DROP FUNCTION IF EXISTS /*schema.*/baton_wait_outcome(bigint);
