DROP FUNCTION IF EXISTS /*schema.*/baton_spread(
    bigint, uuid, bigint, text, text, integer, double precision, boolean
);
DROP FUNCTION IF EXISTS /*schema.*/baton_send_key(text, text, text, text, text, text, boolean, text);
DROP FUNCTION IF EXISTS /*schema.*/baton_send(text, text, text, text, text, text, boolean, text);
