-- Locks jobs in id order and reads their states; under the workflow's lock this makes a cascade's reading final.
SELECT j.id, j.state::text AS state
FROM /*schema.*/oban_jobs j
WHERE j.id = ANY ($1::bigint[])
ORDER BY j.id
FOR NO KEY UPDATE
