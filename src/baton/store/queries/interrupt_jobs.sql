-- Tells the engines which claims of the jobs $1 are lost, each as job:microseconds since 1970; a hint, their own look at
-- the table is what counts. Returns the claims; $2 tells whether to notify. The caller holds the locks of the jobs, and
-- has not claimed them anew.
WITH lost AS MATERIALIZED (
    SELECT j.id, j.attempted_at
    FROM /*oban.*/oban_jobs j
    -- No engine has a claim of another time: Python has no such times.
    WHERE j.id = ANY ($1::bigint[]) AND j.attempted_at BETWEEN '0001-01-02' AND '9999-12-30'
),
told AS (
    SELECT pg_notify(
        /*schema_literal*/'baton' || '.baton_cancel',
        string_agg(l.id || ':' || (extract(epoch FROM l.attempted_at) * 1000000)::bigint, ',')
    )
    FROM lost l
    WHERE $2::boolean
    HAVING count(*) > 0
)
SELECT l.id, l.attempted_at, (SELECT count(*) FROM told) AS notified FROM lost l
