-- Writes uses of models by one attempt of a job; one that was written already is not written again.
INSERT INTO /*schema.*/workflow_step_stats (
    id, workflow_id, job_id, step, attempt, model, provider, input_tokens, output_tokens,
    cache_read_tokens, cache_write_tokens, latency_ms, cost
)
SELECT r.id, $1, $2, $3, $4, r.model, r.provider, r.input, r.output, r.cache_read, r.cache_write, r.latency, r.cost
FROM unnest(
    $5::uuid[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
    $12::bigint[], $13::numeric[]
) AS r (id, model, provider, input, output, cache_read, cache_write, latency, cost)
ON CONFLICT (id) DO NOTHING
