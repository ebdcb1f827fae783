DROP FUNCTION /*schema.*/baton_expire(bigint[], boolean);
DROP FUNCTION /*schema.*/baton_suspend(bigint[], timestamp[], text[], boolean);
DROP FUNCTION /*schema.*/baton_insert_gates(text, boolean);
