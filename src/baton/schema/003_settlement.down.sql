DROP FUNCTION IF EXISTS /*schema.*/baton_settle(
    bigint[], timestamp[], text[], text[], text[], integer[], boolean[], text[], boolean,
    bigint[]
);
DROP FUNCTION IF EXISTS /*schema.*/baton_announce(uuid[], boolean);
DROP FUNCTION IF EXISTS /*schema.*/baton_require_read_committed();
