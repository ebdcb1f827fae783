-- Of claims that are no longer held, those whose jobs were cancelled, or completed by hand (complete_job.sql), while they
-- ran: nobody has claimed them since.
SELECT o.id, o.claim
FROM unnest($1::bigint[], $2::timestamp[]) AS o (id, claim)
JOIN /*oban.*/oban_jobs j ON j.id = o.id
WHERE (j.state = 'cancelled') IS TRUE AND j.attempted_at = o.claim
OR (j.state = 'completed') IS TRUE AND j.attempted_at = o.claim + interval '1 microsecond'
