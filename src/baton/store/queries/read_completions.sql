-- Reads the completions of runs $2 of workflows $1, 0 for the current run. Rows: the runs that have finished; what
-- asked for the current run, with its number; runs that have not begun; and workflows that do not exist, or no longer
-- (current is null).
SELECT o.id AS workflow_id, o.run AS asked, w.run AS current, row_to_json(c)::text AS completion
FROM unnest($1::uuid[], $2::integer[]) AS o (id, run)
LEFT JOIN /*schema.*/workflows w ON w.id = o.id
LEFT JOIN /*schema.*/workflow_completions c
    ON c.workflow_id = o.id AND c.run = CASE o.run WHEN 0 THEN w.run ELSE o.run END
WHERE c.workflow_id IS NOT NULL OR w.id IS NULL OR o.run = 0 OR o.run > w.run
