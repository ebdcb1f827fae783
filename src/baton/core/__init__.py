"""Decisions: pure functions. No await, clock, random, logging or driver."""
