-- Settles completed steps and brings what to run next: see baton_settle_and_claim in the schema.
SELECT
    kind, id, attempted_at, queue, worker, args, meta, attempt, max_attempts,
    workflow_id, name, pending, settled, dependencies, timeout, model, debug, links, queued
FROM /*schema.*/baton_settle_and_claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
