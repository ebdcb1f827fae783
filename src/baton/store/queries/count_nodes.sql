-- How many of a workflow's steps are there: fewer than it has while it is being pruned.
SELECT count(*)::integer AS nodes FROM /*schema.*/workflow_nodes n WHERE n.workflow_id = $1
