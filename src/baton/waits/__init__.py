"""Waiting for the world: events, wait steps, waits inside steps, deadlines."""
