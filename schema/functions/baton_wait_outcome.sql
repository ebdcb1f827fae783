-- How a group ended, as a wait step stores it and a step reads it.
CREATE OR REPLACE FUNCTION /*schema.*/baton_wait_outcome(p_group bigint)
RETURNS jsonb
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $outcome$
    SELECT jsonb_build_object(
        'outcome', CASE g.status WHEN 'completed' THEN 'events' ELSE g.status END,
        'winner', (
            SELECT m.name FROM /*schema.*/workflow_wait_members m
            WHERE m.group_id = g.id AND m.state = 'received'
            ORDER BY m.event_id, m.name
            LIMIT 1
        ),
        'order', coalesce((
            SELECT jsonb_agg(m.name ORDER BY m.event_id, m.name)
            FROM /*schema.*/workflow_wait_members m
            WHERE m.group_id = g.id AND m.state = 'received'
        ), '[]'),
        'events', coalesce((
            SELECT jsonb_object_agg(m.name, e.payload)
            FROM /*schema.*/workflow_wait_members m
            JOIN /*schema.*/workflow_events e ON e.id = m.event_id
            WHERE m.group_id = g.id AND m.state = 'received'
        ), '{}'),
        'missing', to_jsonb(ARRAY(
            SELECT n.name
            FROM unnest(g.names) WITH ORDINALITY AS n (name, position)
            JOIN /*schema.*/workflow_wait_members m ON m.group_id = g.id AND m.name = n.name
            WHERE m.state <> 'received'
            ORDER BY n.position
        ))
    )
    || CASE WHEN g.status = 'timeout' AND g.fallback IS NOT NULL
        THEN jsonb_build_object('default', g.fallback -> 'value') ELSE '{}' END
    || CASE WHEN g.status = 'cancelled' THEN jsonb_build_object('reason', g.reason) ELSE '{}' END
    FROM /*schema.*/workflow_wait_groups g
    WHERE g.id = p_group
$outcome$;
