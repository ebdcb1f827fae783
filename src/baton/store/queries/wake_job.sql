-- Makes the job of a wait runnable: see baton_wake in the schema. The caller holds the workflow's lock.
SELECT /*schema.*/baton_wake($1::bigint, $2) AS queue
