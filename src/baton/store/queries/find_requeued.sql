-- Of outcomes that leave a job unfinished and whose writing had no reply, those that are written. One with an error is
-- known by the error, also when the job has moved on; one without by the claim, unless a rescue has left its mark.
SELECT o.id
FROM unnest($1::bigint[], $2::timestamp[], $3::integer[], $4::text[]) AS o (id, claim, attempt, error)
JOIN /*oban.*/oban_jobs j ON j.id = o.id
WHERE CASE WHEN o.error IS NOT NULL THEN EXISTS (
    SELECT FROM jsonb_path_query(
        to_jsonb(j.errors),
        '$[*] ? (@.attempt == $attempt && @.error == $error)',
        jsonb_build_object('attempt', o.attempt, 'error', o.error)
    )
) ELSE
    j.attempted_at = o.claim
    AND (j.state IN ('available', 'scheduled')) IS TRUE
    AND (to_jsonb(j.errors) -> -1 ->> 'attempt') IS DISTINCT FROM o.attempt::text
END
