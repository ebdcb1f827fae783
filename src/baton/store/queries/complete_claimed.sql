-- Completes the job $1, fenced on its claim $2. `echo`: it has been completed by that claim before, by a commit whose
-- reply was lost.
WITH done AS (
    UPDATE /*oban.*/oban_jobs j
    SET state = 'completed', completed_at = timezone('UTC', clock_timestamp())
    WHERE j.id = $1 AND (j.state = 'executing') IS TRUE AND j.attempted_at = $2::timestamp
    RETURNING j.id
)
SELECT
    EXISTS (SELECT FROM done) AS done,
    EXISTS (
        SELECT FROM /*oban.*/oban_jobs j
        WHERE j.id = $1 AND (j.state = 'completed') IS TRUE AND j.attempted_at = $2::timestamp
    ) AS echo
