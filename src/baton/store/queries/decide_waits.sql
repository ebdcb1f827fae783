-- Decides groups whose mailboxes were read: see baton_decide_waits in the schema. The caller holds their workflows' locks.
SELECT kind, id, data, workflow_id FROM /*schema.*/baton_decide_waits($1::bigint[], $2::bigint[], true, $3)
