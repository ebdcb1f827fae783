-- Whether deadlines have passed, and seconds until the next one does; NULL when there is none.
SELECT
    EXISTS (SELECT FROM /*schema.*/workflow_deadlines d WHERE d.deadline <= now()) AS due,
    extract(epoch FROM (
        SELECT d.deadline FROM /*schema.*/workflow_deadlines d
        WHERE d.deadline > now()
        ORDER BY d.deadline
        LIMIT 1
    ) - clock_timestamp())::double precision AS seconds
