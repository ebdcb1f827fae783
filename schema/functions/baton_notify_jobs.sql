-- Tells the engines, and Oban, that the queue has jobs to run; the notification rides the commit. Its body is one
-- expression without settings, so that the planner puts it in the place of the call.
CREATE OR REPLACE FUNCTION /*schema.*/baton_notify_jobs(p_queue text)
RETURNS void
LANGUAGE sql
AS $notify$
    SELECT pg_catalog.pg_notify(
        /*oban_literal*/'baton' || '.oban_insert', pg_catalog.json_build_object('queue', p_queue)::pg_catalog.text
    )
$notify$;
