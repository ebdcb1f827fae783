-- Tells the engines which running jobs were cancelled; a hint, their own look at the table is what counts.
SELECT pg_notify(/*schema_literal*/'baton' || '.baton_cancel', $1)
