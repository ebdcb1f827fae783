-- Holds the number until the migration that has it is merged; then this file goes.
COMMENT ON TABLE /*schema.*/baton_migrations IS NULL;
