-- Announces the given workflows that have ended and were not announced; returns those this call announced.
SELECT workflow_id, completion FROM /*schema.*/baton_announce($1::uuid[], $2)
