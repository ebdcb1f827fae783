-- Makes jobs runnable whose last dependency settled: see baton_release in the schema.
SELECT q.queue FROM unnest(/*schema.*/baton_release($1::bigint[], $2)) AS q (queue)
