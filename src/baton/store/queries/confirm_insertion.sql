-- Counts which of these workflows were inserted at exactly this time: by us, in a commit whose reply was lost.
SELECT pg_catalog.count(*)::pg_catalog.text AS confirmed
FROM pg_catalog.unnest($1::pg_catalog.text[]) AS g (id)
JOIN /*schema.*/workflows w ON w.id OPERATOR(pg_catalog.=) g.id::pg_catalog.uuid
WHERE pg_catalog.to_char(pg_catalog.timezone('UTC', w.inserted_at), 'YYYY-MM-DD"T"HH24:MI:SS.US')
    OPERATOR(pg_catalog.=) $2::pg_catalog.text
