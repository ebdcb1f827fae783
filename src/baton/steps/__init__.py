"""What a worker's body sees: the step, its results, its waits, what it records."""
