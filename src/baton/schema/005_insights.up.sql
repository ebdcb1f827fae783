-- For those who look: workflows newest first, all or those of one name, and the failed ones.
-- What is indexed never changes, so that settling stays heap-only.
CREATE INDEX workflows_inserted_index
    ON /*schema.*/workflows (inserted_at, id);
CREATE INDEX workflows_name_index
    ON /*schema.*/workflows (name, inserted_at, id) WHERE name IS NOT NULL;
CREATE INDEX workflow_completions_failed_index
    ON /*schema.*/workflow_completions (inserted_at, workflow_id) WHERE outcome = 'failed';
