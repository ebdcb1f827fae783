-- Locks the workflow, the step and the job of a wait, unless somebody else has one of them locked: see baton_lock_free
-- in the schema. For what lies further down the graph the transaction waits a moment only.
SELECT
    cardinality(/*schema.*/baton_lock_free(ARRAY[$1::bigint])) > 0 AS free,
    set_config('lock_timeout', '100ms', true) AS bound
