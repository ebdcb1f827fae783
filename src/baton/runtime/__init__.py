"""The engine: loops and tasks that claim, run and settle jobs. Knows jobs, not workflows."""
