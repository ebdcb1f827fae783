"""The schema of a database: what it must hold, whether it does, how it gets there."""
