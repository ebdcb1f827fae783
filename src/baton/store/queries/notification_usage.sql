-- How full the server's queue of notifications is, from 0 to 1. Asking lets the server drop what all have read.
SELECT pg_notification_queue_usage() AS usage
