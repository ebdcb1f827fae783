DROP FUNCTION /*schema.*/baton_arm(bigint[], boolean, boolean);
DROP FUNCTION /*schema.*/baton_decide(bigint[], bigint[], boolean, boolean);
DROP FUNCTION /*schema.*/baton_wake(bigint, boolean);
DROP FUNCTION /*schema.*/baton_close_waits(bigint[], text);
DROP FUNCTION /*schema.*/baton_wait_outcome(bigint);
