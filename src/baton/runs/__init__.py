"""What people do to a workflow: retry, repair, hold it; each an action that is recorded."""
