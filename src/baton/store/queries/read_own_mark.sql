-- Whether this is still the transaction that was marked.
SELECT pg_catalog.current_setting('baton.attempt', true) OPERATOR(pg_catalog.=) $1 AS whole
