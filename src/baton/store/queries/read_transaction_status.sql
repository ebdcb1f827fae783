-- What became of a transaction: committed, aborted, in progress; NULL when that was too long ago.
SELECT pg_xact_status($1::text::xid8) AS status
