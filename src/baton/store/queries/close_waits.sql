-- Ends what is left of the waits of settled steps; the caller holds the locks of their workflows.
SELECT /*schema.*/baton_close_waits($1::bigint[], $2, NULL)
