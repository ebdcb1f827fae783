-- What a fork of workflow $1 needs: every step in the order added, with its job, or what was kept of a deleted one, and
-- what a wait step waits for.
SELECT
    w.name AS workflow_name, w.debug, n.job_id, n.name, n.deps, n.any_of, n.condition::text AS condition, n.ignore_cancelled, n.ignore_discarded, n.run_when_skipped, n.timeout, n.grown_by,
    n.model, n.state::text AS state,
    coalesce(j.worker, k.worker) AS worker,
    coalesce(j.queue, k.queue) AS queue,
    coalesce(j.args, k.args)::text AS args,
    coalesce(j.tags, k.tags) AS tags,
    coalesce(j.priority, k.priority) AS priority,
    coalesce(j.max_attempts, k.max_attempts) - coalesce((
        SELECT h.attempt
        FROM /*schema.*/workflow_step_history h
        WHERE h.workflow_id = n.workflow_id AND h.job_id = n.job_id AND h.attempt IS NOT NULL
        ORDER BY h.id DESC
        LIMIT 1
    ), 0) AS budget,
    g.names, g.need, g.timeout AS wait_timeout, g.until, g.on_timeout, g.fallback::text AS fallback,
    g.correlation_key, g.prompt, g.payload_schema::text AS payload_schema
FROM /*schema.*/workflows w
JOIN /*schema.*/workflow_nodes n ON n.workflow_id = w.id
LEFT JOIN /*oban.*/oban_jobs j ON j.id = n.job_id AND (j.meta ->> 'workflow_id' = n.workflow_id::text) IS TRUE
LEFT JOIN /*schema.*/workflow_deleted_jobs k ON k.job_id = n.job_id AND k.workflow_id = n.workflow_id
LEFT JOIN /*schema.*/workflow_wait_groups g ON g.job_id = n.job_id AND g.wait_step
WHERE w.id = $1
ORDER BY n.job_id
