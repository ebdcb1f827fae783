"""What an attempt came to, written once; the end of a workflow, and who waits for it."""
