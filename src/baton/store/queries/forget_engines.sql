-- Removes the rows of dead engines whose jobs have been rescued.
DELETE FROM /*schema.*/baton_engines e
USING unnest($1::text[]) AS g (id)
WHERE e.id = g.id::uuid
AND NOT EXISTS (
    SELECT FROM /*oban.*/oban_jobs j WHERE j.state = 'executing' AND j.attempted_by[2] = g.id
)
