-- The id of the transaction under way, for asking later whether it was committed; NULL when it wrote nothing.
SELECT pg_current_xact_id_if_assigned()::text AS id
