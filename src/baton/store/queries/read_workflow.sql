-- Reads one workflow, its completion, and how many of its steps are in which state: the settled one, before that
-- the job's. No row: neither the workflow nor its completion exists.
SELECT
    g.id,
    w.name,
    w.steps,
    w.outstanding,
    w.failed,
    w.inserted_at,
    w.tags,
    (SELECT d.deadline FROM /*schema.*/workflow_deadlines d WHERE d.workflow_id = g.id) AS deadline,
    w.attributes::text AS attributes,
    w.paused_at,
    w.pause_reason,
    w.forked_from,
    w.input::text AS input,
    w.output_step,
    coalesce(w.run, c.run) AS run,
    row_to_json(c)::text AS completion,
    extract(epoch FROM clock_timestamp() - w.inserted_at)::double precision AS age,
    k.available, k.suspended, k.scheduled, k.executing, k.retryable,
    k.completed, k.discarded, k.cancelled, k.skipped, k.gone
FROM (SELECT $1::uuid AS id) g
LEFT JOIN /*schema.*/workflows w ON w.id = g.id
-- Of one whose row was pruned the last run's.
LEFT JOIN /*schema.*/workflow_completions c ON c.workflow_id = g.id AND c.run = coalesce(
    w.run, (SELECT max(m.run) FROM /*schema.*/workflow_completions m WHERE m.workflow_id = g.id)
)
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE s.state = 'available') AS available,
        count(*) FILTER (WHERE s.state = 'suspended') AS suspended,
        count(*) FILTER (WHERE s.state = 'scheduled') AS scheduled,
        count(*) FILTER (WHERE s.state = 'executing') AS executing,
        count(*) FILTER (WHERE s.state = 'retryable') AS retryable,
        count(*) FILTER (WHERE s.state = 'completed') AS completed,
        count(*) FILTER (WHERE s.state = 'discarded') AS discarded,
        count(*) FILTER (WHERE s.state = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE s.state = 'skipped') AS skipped,
        count(*) FILTER (WHERE s.state IS NULL) AS gone
    FROM (
        SELECT coalesce(n.state::text, j.state::text) AS state
        FROM /*schema.*/workflow_nodes n
        -- The job of a step that has settled is not looked for.
        LEFT JOIN /*oban.*/oban_jobs j ON j.id = CASE WHEN n.state IS NULL THEN n.job_id END
            AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
        WHERE n.workflow_id = g.id
    ) s
) k
WHERE w.id IS NOT NULL OR c.workflow_id IS NOT NULL
