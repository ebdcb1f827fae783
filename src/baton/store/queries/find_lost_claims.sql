-- Of the claims an engine believes to hold, those it no longer holds: cancelled, rescued or deleted meanwhile.
SELECT o.id, o.claim
FROM unnest($1::bigint[], $2::timestamp[]) AS o (id, claim)
WHERE NOT EXISTS (
    SELECT FROM /*oban.*/oban_jobs j
    WHERE j.id = o.id AND (j.state = 'executing') IS TRUE AND j.attempted_at = o.claim
)
