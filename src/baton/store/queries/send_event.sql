-- Sends an event to a workflow: see baton_send in the schema. Everything crosses as text.
SELECT s.result, s.data
FROM /*schema.*/baton_send(
    $1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text,
    $6::pg_catalog.text, $7::pg_catalog.text::pg_catalog.bool, $8::pg_catalog.text
) AS s
