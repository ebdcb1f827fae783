-- Moves an operation on many workflows past its batch to the next one, $3, behind which the list goes on at $4 (NULL:
-- nowhere). Of those who are at the same position one moves it. What was done is what actions say, whoever did it; $5
-- are the workflows that refused it, the rest was passed by. Without a next batch and place it is finished.
UPDATE /*schema.*/baton_bulk b
SET
    done = b.done + n.done,
    failed = b.failed + n.failed,
    passed = b.passed + cardinality(b.batch) - n.done - n.failed,
    failures = $6::text::jsonb,
    batch = $3::uuid[],
    cursor = $4::text,
    position = b.position + 1,
    state = CASE WHEN cardinality($3::uuid[]) = 0 AND $4::text IS NULL THEN 'finished' ELSE 'running' END,
    finished_at = CASE WHEN cardinality($3::uuid[]) = 0 AND $4::text IS NULL THEN clock_timestamp() END
FROM (
    SELECT
        count(*) FILTER (WHERE a.acted)::integer AS done,
        count(*) FILTER (WHERE NOT a.acted AND a.workflow_id = ANY ($5::uuid[]))::integer AS failed
    FROM (
        SELECT
            m.workflow_id,
            EXISTS (
                SELECT FROM /*schema.*/baton_actions d WHERE d.bulk_id = $1 AND d.workflow_id = m.workflow_id
            ) AS acted
        FROM unnest($7::uuid[]) AS m (workflow_id)
    ) a
) n
WHERE b.id = $1 AND b.position = $2 AND b.state = 'running'
