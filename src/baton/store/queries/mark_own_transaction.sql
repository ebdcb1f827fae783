-- Marks the transaction of a step: the mark goes with the transaction, so that one which the step's code has ended is seen.
SELECT pg_catalog.set_config('baton.attempt', $1, true)
