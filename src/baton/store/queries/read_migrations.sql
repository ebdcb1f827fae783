-- The migrations applied to the schema, oldest first.
SELECT version::pg_catalog.text AS version, name, checksum
FROM /*schema.*/baton_migrations m
ORDER BY m.version
