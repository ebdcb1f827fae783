-- For whom the session of process $1 waits now. A prepared transaction has no process (0): its name is found by the
-- lock that it holds, as each holds one on its own number. Sessions of other roles show their process only, unless one may read all statistics.
SELECT b.pid, a.application_name, a.usename::text AS role, a.state,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
    CASE WHEN b.pid = 0 THEN (
        SELECT string_agg(DISTINCT p.gid, ', ')
        FROM pg_locks w
        JOIN pg_locks h ON h.granted AND h.pid IS NULL
            AND h.locktype = w.locktype
            AND (h.database, h.relation, h.page, h.tuple, h.transactionid, h.classid, h.objid, h.objsubid)
            IS NOT DISTINCT FROM
            (w.database, w.relation, w.page, w.tuple, w.transactionid, w.classid, w.objid, w.objsubid)
        JOIN pg_locks x ON x.granted AND x.pid IS NULL AND x.locktype = 'transactionid'
            AND x.virtualtransaction = h.virtualtransaction
        JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
        WHERE w.pid = $1 AND NOT w.granted
    ) END AS prepared
FROM (SELECT DISTINCT unnest(pg_blocking_pids($1))) AS b (pid)
LEFT JOIN pg_stat_activity a ON a.pid = b.pid AND b.pid <> 0
ORDER BY b.pid
