-- Before a step is settled in its own transaction: the transaction's id, for asking later whether it was committed.
-- What the step's code has set for itself does not hold for what follows.
SELECT
    pg_catalog.pg_current_xact_id()::pg_catalog.text AS id,
    pg_catalog.set_config('role', NULL, true),
    pg_catalog.set_config('statement_timeout', '0', true),
    pg_catalog.set_config('lock_timeout', $1, true)
