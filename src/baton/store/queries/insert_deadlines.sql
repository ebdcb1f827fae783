-- Gives new workflows $1 the deadlines $2; with a channel $3, rings for their timers. Text only, and every name qualified:
-- see insert_workflows.sql.
WITH inserted AS (
    INSERT INTO /*schema.*/workflow_deadlines (workflow_id, deadline)
    SELECT d.id::pg_catalog.uuid, d.deadline::pg_catalog.timestamptz
    FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS d (id, deadline)
)
SELECT pg_catalog.pg_notify($3::pg_catalog.text, '') WHERE $3::pg_catalog.text IS NOT NULL
