-- Deletes what steps of these workflows waited for, at most $2 rows of each table.
WITH steps AS MATERIALIZED (
    SELECT n.job_id FROM /*schema.*/workflow_nodes n WHERE n.workflow_id = ANY ($1::uuid[]) AND n.waits
),
groups AS (
    DELETE FROM /*schema.*/workflow_wait_groups g
    USING (
        SELECT d.id
        FROM /*schema.*/workflow_wait_groups d
        WHERE d.job_id = ANY (ARRAY(SELECT s.job_id FROM steps s))
        AND NOT EXISTS (SELECT FROM /*schema.*/workflow_wait_members m WHERE m.group_id = d.id)
        LIMIT $2
    ) d
    WHERE g.id = d.id
    RETURNING g.id
),
members AS (
    DELETE FROM /*schema.*/workflow_wait_members m
    USING (
        SELECT x.group_id, x.name
        FROM /*schema.*/workflow_wait_groups d
        JOIN /*schema.*/workflow_wait_members x ON x.group_id = d.id
        WHERE d.job_id = ANY (ARRAY(SELECT s.job_id FROM steps s))
        LIMIT $2
    ) d
    WHERE m.group_id = d.group_id AND m.name = d.name
    RETURNING m.group_id
),
memos AS (
    DELETE FROM /*schema.*/workflow_memos k
    USING (
        SELECT d.job_id, d.key
        FROM /*schema.*/workflow_memos d
        JOIN /*schema.*/workflow_nodes n ON n.job_id = d.job_id
        WHERE n.workflow_id = ANY ($1::uuid[])
        LIMIT $2
    ) d
    WHERE k.job_id = d.job_id AND k.key = d.key
    RETURNING k.job_id
),
events AS (
    DELETE FROM /*schema.*/workflow_events e
    USING (
        SELECT d.id FROM /*schema.*/workflow_events d WHERE d.workflow_id = ANY ($1::uuid[]) LIMIT $2
    ) d
    WHERE e.id = d.id
    RETURNING e.id
)
SELECT
    (SELECT count(*) FROM groups)::integer AS workflow_wait_groups,
    (SELECT count(*) FROM members)::integer AS workflow_wait_members,
    (SELECT count(*) FROM memos)::integer AS workflow_memos,
    (SELECT count(*) FROM events)::integer AS workflow_events
