-- Bounds the waits for locks of this transaction; returns the server's process.
SELECT pg_backend_pid()
FROM set_config('lock_timeout', $1, true)
