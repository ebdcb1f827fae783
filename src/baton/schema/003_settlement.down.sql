DROP FUNCTION /*schema.*/baton_settle(
    bigint[], timestamp[], text[], text[], text[], integer[], boolean[], text[], boolean
);
DROP FUNCTION /*schema.*/baton_announce(uuid[], boolean);
