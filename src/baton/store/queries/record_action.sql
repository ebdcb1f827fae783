-- Records what somebody does to a workflow, in the transaction that does it.
INSERT INTO /*schema.*/baton_actions (workflow_id, action, actor, reason, run, step, details, result, bulk_id)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb, $9)
