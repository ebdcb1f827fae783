-- What a workflow used of each model, and in all: the row with `total`, which is there without any record too.
SELECT
    grouping(s.model) = 1 AS total,
    s.model,
    s.provider,
    count(*) AS records,
    coalesce(sum(s.input_tokens), 0) AS input_tokens,
    coalesce(sum(s.output_tokens), 0) AS output_tokens,
    coalesce(sum(s.cache_read_tokens), 0) AS cache_read_tokens,
    coalesce(sum(s.cache_write_tokens), 0) AS cache_write_tokens,
    coalesce(sum(s.latency_ms), 0) AS latency_ms,
    coalesce(sum(s.cost), 0) AS cost,
    count(*) FILTER (WHERE s.cost IS NULL) AS unpriced
FROM /*schema.*/workflow_step_stats s
WHERE s.workflow_id = $1
GROUP BY GROUPING SETS ((s.model, s.provider), ())
ORDER BY s.model COLLATE "C", s.provider COLLATE "C" NULLS FIRST
