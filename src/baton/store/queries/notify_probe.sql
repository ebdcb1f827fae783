-- A notification to oneself: shows that the listener's connection is alive and that notifications arrive.
SELECT pg_notify($1, $2)
