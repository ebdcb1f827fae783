-- Makes the schema and the table of applied migrations. Existence is asked for first: IF NOT EXISTS
-- wants the right to create even where there is nothing to create.
DO $create$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = /*schema_literal*/'baton') THEN
        EXECUTE format('CREATE SCHEMA %I', /*schema_literal*/'baton');
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = /*schema_literal*/'baton' AND c.relname = 'baton_migrations'
    ) THEN
        -- created names the objects that a migration makes only where it does not find them.
        CREATE TABLE /*schema.*/baton_migrations (
            version    integer PRIMARY KEY CHECK (version > 0),
            name       text NOT NULL,
            checksum   text NOT NULL,
            created    text[] NOT NULL DEFAULT '{}',
            applied_at timestamptz NOT NULL DEFAULT now()
        );
    END IF;
END
$create$;
