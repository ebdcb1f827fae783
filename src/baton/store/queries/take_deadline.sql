-- Takes away the deadline of workflow $1 where it has passed; the caller holds the workflow's lock.
DELETE FROM /*schema.*/workflow_deadlines d
WHERE d.workflow_id = $1 AND d.deadline <= clock_timestamp()
RETURNING d.deadline
