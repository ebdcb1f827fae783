-- Gives an event sent by a key to the next who wait with it: see baton_spread in the schema.
SELECT kind, id, data, workflow_id FROM /*schema.*/baton_spread($1, $2, $3, $4, $5, $6, $7, $8)
