"""Waiting for the world: events, gates, waits inside steps, deadlines."""
