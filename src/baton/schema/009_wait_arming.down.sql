DROP FUNCTION IF EXISTS /*schema.*/baton_expire(bigint[], boolean);
DROP FUNCTION IF EXISTS /*schema.*/baton_suspend(bigint[], timestamp[], text[], boolean);
DROP FUNCTION IF EXISTS /*schema.*/baton_insert_gates(text, boolean);
